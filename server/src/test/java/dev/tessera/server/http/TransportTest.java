package dev.tessera.server.http;

import static dev.tessera.server.http.TestServer.postRequest;
import static dev.tessera.server.http.TestServer.readAll;
import static dev.tessera.server.http.TestServer.readResponse;
import static dev.tessera.server.http.TestServer.write;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.Socket;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/// What happens below the endpoints: framing, limits of size and time, many connections.
final class TransportTest {
  private static final String COMPLETION = "{\"prompt\":\"a\",\"max_tokens\":2}";

  private static HttpSettings impatient(HttpSettings d, Duration idle) {
    return TestServer.with(
        d,
        Map.of(
            "idle",
            idle,
            "header",
            Duration.ofMillis(300),
            "body",
            Duration.ofMillis(300),
            "write",
            Duration.ofMillis(500)));
  }

  private static void assertIsJsonError(int status, String response) {
    assertTrue(response.startsWith("HTTP/1.1 " + status + " "), response);
    assertTrue(response.contains("\"code\":" + status), response);
    assertTrue(response.toLowerCase(java.util.Locale.ROOT).contains("x-request-id: "), response);
  }

  @Test
  void slowHeadersEndWith408() throws IOException {
    try (var server = new TestServer(s -> impatient(s, Duration.ofMinutes(1)));
        Socket socket = server.connect()) {
      write(socket, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nX-Slow: ");
      assertIsJsonError(408, readAll(socket));
    }
  }

  @Test
  void slowBodiesEndWith408() throws IOException {
    try (var server = new TestServer(s -> impatient(s, Duration.ofMinutes(1)));
        Socket socket = server.connect()) {
      write(
          socket,
          "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"prompt\"");
      assertIsJsonError(408, readAll(socket));
    }
  }

  @Test
  void aConnectionWithoutARequestIsClosed() throws IOException {
    try (var server = new TestServer(s -> impatient(s, Duration.ofSeconds(4)));
        Socket silent = server.connect();
        Socket used = server.connect()) {
      write(used, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
      assertTrue(readResponse(used.getInputStream()).startsWith("HTTP/1.1 200"));
      assertEquals("", readAll(used));
      assertEquals("", readAll(silent));
    }
  }

  @Test
  void aLongAnswerIsNotASlowRequest() throws IOException {
    try (var server = new TestServer(s -> impatient(s, Duration.ofMillis(200)))) {
      server.engine.tokenMillis = 100;
      var response = server.post("/v1/completions", "{\"prompt\":\"a\"}");
      assertEquals(200, response.statusCode());
      assertTrue(response.body().contains("Hello, world!"));
    }
  }

  @Test
  void aClientThatDoesNotReadIsCutOff() throws IOException {
    try (var server = new TestServer(s -> impatient(s, Duration.ofMinutes(1)));
        Socket socket = server.connect()) {
      socket.setReceiveBufferSize(1024);
      server.engine.script = request -> new int[1024];
      // 1,000 tokens × 20 alternatives × 8 samples: more than all socket buffers.
      write(
          socket,
          postRequest(
              "/v1/completions",
              "{\"prompt\":\"a\",\"stream\":true,\"n\":8,\"logprobs\":20,\"max_tokens\":1024}"));
      TestServer.await("the answer begins", () -> !server.engine.requests.isEmpty());
      TestServer.await("the generation ends", () -> server.engine.running.isEmpty());
      TestServer.await(
          "the client counts as gone",
          () -> server.metrics.scrape().contains("tessera_clients_gone_total 1.0"));
    }
  }

  @Test
  void pipelinedRequestsAreAnsweredInOrder() throws IOException {
    try (var server = new TestServer();
        Socket socket = server.connect()) {
      server.engine.tokenMillis = 5;
      StringBuilder requests = new StringBuilder();
      for (int i = 0; i < 20; i++) {
        requests.append(
            postRequest("/v1/completions", COMPLETION, "X-Request-Id: number-" + i + "\r\n"));
      }
      write(socket, requests.toString());
      for (int i = 0; i < 20; i++) {
        String response = readResponse(socket.getInputStream());
        assertTrue(response.startsWith("HTTP/1.1 200"), response);
        assertTrue(response.contains("number-" + i), response);
      }
    }
  }

  @Test
  void pipelinedBodiesLargerThanTheLookAheadAreNotLost() throws Exception {
    try (var server = new TestServer();
        Socket socket = server.connect()) {
      String content = "y".repeat(3 * ConnectionInput.LOOK_AHEAD_BYTES);
      String request = postRequest("/tokenize", "{\"content\":\"" + content + "\"}");
      Thread sender =
          Thread.ofVirtual()
              .start(
                  () -> {
                    try {
                      write(socket, request.repeat(4));
                    } catch (IOException e) {
                      throw new java.io.UncheckedIOException(e);
                    }
                  });
      for (int i = 0; i < 4; i++) {
        String response = readResponse(socket.getInputStream());
        assertTrue(response.contains("\"count\":" + content.length() + ","));
      }
      sender.join();
    }
  }

  @Test
  void aRequestInTinyPiecesIsUnderstood() throws Exception {
    try (var server = new TestServer();
        Socket socket = server.connect()) {
      for (char c : postRequest("/v1/completions", COMPLETION).toCharArray()) {
        write(socket, String.valueOf(c));
      }
      assertTrue(readResponse(socket.getInputStream()).startsWith("HTTP/1.1 200"));
    }
  }

  @Test
  void bodiesAreTakenUpToTheLimit() {
    int limit = 100_000;
    try (var server =
        new TestServer(
            d ->
                TestServer.with(
                    d,
                    Map.of(
                        "limits",
                        new RequestLimits(limit, 8, 64, 16, 256, 20, 1024, 128, 1 << 20))))) {
      String frame = "{\"content\":\"\"}";
      String fits = "{\"content\":\"" + "x".repeat(limit - frame.length()) + "\"}";
      assertEquals(200, server.post("/tokenize", fits).statusCode());
      var over = server.post("/tokenize", fits + " ");
      assertEquals(413, over.statusCode());
      assertTrue(over.body().contains("100,000 bytes"), over.body());
    }
  }

  @Test
  void aChunkedBodyOverTheLimitIsRefusedToo() throws IOException {
    try (var server = new TestServer();
        Socket socket = server.connect()) {
      write(
          socket,
          "POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
              + Integer.toHexString(RequestLimits.DEFAULT.bodyBytes() + 1)
              + "\r\n");
      assertIsJsonError(413, readAll(socket));
    }
  }

  @Test
  void headersOverTheLimitAreRefused() throws IOException {
    try (var server = new TestServer();
        Socket socket = server.connect()) {
      write(
          socket, "GET /health HTTP/1.1\r\nHost: x\r\nX-Long: " + "x".repeat(17_000) + "\r\n\r\n");
      assertIsJsonError(431, readAll(socket));
    }
  }

  @Test
  void badFramingIsRefused() throws IOException {
    try (var server = new TestServer()) {
      for (String head :
          List.of(
              "GET /health HTTP/1.1\r\n\r\n",
              "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
              "POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
              "POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
              "POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                  + "Transfer-Encoding: chunked\r\n\r\n",
              "POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
              "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
              "nonsense\r\n\r\n")) {
        try (Socket socket = server.connect()) {
          write(socket, head);
          assertIsJsonError(400, readAll(socket));
        }
      }
    }
  }

  @Test
  void idleConnectionsCostNoPlatformThread() throws Exception {
    try (var server = new TestServer()) {
      List<Socket> sockets = new ArrayList<>();
      try {
        for (int i = 0; i < 8; i++) {
          sockets.add(opened(server)); // carriers and pollers start with the first ones
        }
        int before = Thread.getAllStackTraces().size();
        for (int i = 0; i < 1000; i++) {
          sockets.add(opened(server));
        }
        int after = Thread.getAllStackTraces().size();
        assertTrue(after - before < 20, before + " platform threads became " + after);
        for (Socket socket : List.of(sockets.getFirst(), sockets.getLast())) {
          write(socket, postRequest("/v1/completions", COMPLETION));
          assertTrue(readResponse(socket.getInputStream()).startsWith("HTTP/1.1 200"));
        }
      } finally {
        for (Socket socket : sockets) {
          socket.close();
        }
      }
    }
  }

  private static Socket opened(TestServer server) throws IOException {
    Socket socket = server.connect();
    write(socket, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assertTrue(readResponse(socket.getInputStream()).startsWith("HTTP/1.1 200"));
    return socket;
  }

  @Test
  @SuppressWarnings("try")
  void connectionsBeyondTheLimitWaitTheirTurn() throws IOException {
    try (var server = new TestServer(d -> TestServer.with(d, Map.of("maxConnections", 2)));
        Socket first = opened(server);
        Socket second = opened(server);
        Socket third = server.connect()) {
      write(third, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
      third.setSoTimeout(200);
      try {
        assertEquals(-1, third.getInputStream().read(), "must not be answered yet");
      } catch (java.net.SocketTimeoutException expected) {
        assertTrue(second.isConnected());
      }
      first.close();
      third.setSoTimeout(20_000);
      assertTrue(readResponse(third.getInputStream()).startsWith("HTTP/1.1 200"));
    }
  }
}
