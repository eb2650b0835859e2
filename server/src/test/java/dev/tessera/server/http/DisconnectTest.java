package dev.tessera.server.http;

import static dev.tessera.server.http.TestServer.await;
import static dev.tessera.server.http.TestServer.postRequest;
import static dev.tessera.server.http.TestServer.write;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.Socket;
import java.net.StandardSocketOptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// A client that leaves frees its request, in whatever state it is.
@SuppressWarnings("try")
final class DisconnectTest {

  @ParameterizedTest(name = "{0}, stream={1}, closed by {2}")
  @CsvSource({
    "waiting,false,close", "waiting,true,close", "waiting,false,reset", "waiting,true,reset",
    "waiting,false,half", "decoding,false,close", "decoding,true,close", "decoding,false,reset",
    "decoding,true,reset", "decoding,true,half"
  })
  void freesTheRequest(String state, boolean stream, String way) throws IOException {
    try (var server = new TestServer()) {
      server.engine.stalled = state.equals("waiting");
      server.engine.tokenMillis = 20;
      server.engine.script = request -> new int[1000];
      try (Socket socket = server.connect()) {
        write(
            socket,
            postRequest(
                "/v1/chat/completions",
                "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"stream\":"
                    + stream
                    + "}"));
        await("the request runs", () -> server.engine.running.size() == 1);
        leave(socket, way);
        await("the request is freed", () -> server.engine.running.isEmpty());
      }
      await(
          "the loss is counted",
          () -> server.metrics.scrape().contains("tessera_clients_gone_total 1.0"));
      server.engine.stalled = false;
      server.engine.tokenMillis = 0;
      server.engine.script = request -> FakeEngine.bytes("ok");
      assertEquals(200, server.post("/v1/completions", "{\"prompt\":\"a\"}").statusCode());
    }
  }

  private static void leave(Socket socket, String way) throws IOException {
    switch (way) {
      case "close" -> socket.close();
      case "half" -> socket.shutdownOutput();
      default -> {
        socket.setOption(StandardSocketOptions.SO_LINGER, 0); // closing resets the connection
        socket.close();
      }
    }
  }

  @Test
  void freesEveryPromptOfAList() throws IOException {
    try (var server = new TestServer();
        Socket socket = server.connect()) {
      server.engine.tokenMillis = 20;
      server.engine.script = request -> new int[1000];
      write(
          socket,
          postRequest(
              "/v1/completions", "{\"prompt\":[\"a\",\"b\",\"c\"],\"n\":2,\"max_tokens\":900}"));
      await("all run", () -> server.engine.running.size() == 3);
      socket.close();
      await("all are freed", () -> server.engine.running.isEmpty());
    }
  }

  @Test
  void leavesOtherClientsAlone() throws Exception {
    try (var server = new TestServer();
        Socket leaving = server.connect();
        Socket staying = server.connect()) {
      server.engine.tokenMillis = 10;
      String request = postRequest("/v1/completions", "{\"prompt\":\"a\"}");
      write(leaving, request);
      write(staying, request);
      await("both run", () -> server.engine.running.size() == 2);
      leaving.close();
      String answer = TestServer.readResponse(staying.getInputStream());
      assertTrue(answer.contains("Hello, world!"), answer);
    }
  }

  @Test
  void aClientThatSentMoreAndLeftIsNoticedToo() throws IOException {
    try (var server = new TestServer();
        Socket socket = server.connect()) {
      server.engine.stalled = true;
      String request = postRequest("/v1/completions", "{\"prompt\":\"a\"}");
      write(socket, request + request);
      await("the first runs", () -> server.engine.running.size() == 1);
      socket.close();
      await("it is freed", () -> server.engine.running.isEmpty());
    }
  }
}
