package dev.tessera.server.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.Socket;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Bodies that are legal one by one, and too much together.
@Timeout(60)
final class LargeBodiesTest {
  private static final int OBJECTS = 1_200_000; // bytes; a parser takes a million tokens
  private static final String SMALL = "{\"content\":\"hello\"}";

  private static TestServer server(int bodyBytes) {
    var limits = new RequestLimits(bodyBytes, 8, 64, 16, 256, 20, 1024, 128, 1 << 20);
    return new TestServer(settings -> TestServer.with(settings, Map.of("limits", limits)));
  }

  /// An object that is larger once it is parsed, in a field that nobody reads.
  private static String objects(int bytes) {
    return "{\"content\":\"hello\",\"unknown\":[" + "{},".repeat(bytes / 3) + "{}]}";
  }

  /// A body whose length nobody knows may be as long as the limit; where that is all the room, no
  /// other gets in while it stands still.
  @Test
  void whoFindsNoRoomIsToldSoAndSmallBodiesPass() throws Exception {
    int room = (int) Math.min(Runtime.getRuntime().maxMemory() / 8, Integer.MAX_VALUE);
    String large = objects(OBJECTS);
    try (TestServer server = server(room)) {
      try (Socket standing = server.connect()) {
        String head =
            "POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n18000\r\n";
        standing
            .getOutputStream()
            .write((head + " ".repeat(0x18000) + "\r\n").getBytes(StandardCharsets.US_ASCII));
        HttpResponse<String> refused;
        do { // until the server has read the other's first bytes
          refused = server.post("/tokenize", large);
        } while (refused.statusCode() == 200);
        assertEquals(503, refused.statusCode(), refused.body());
        assertTrue(refused.body().contains("large bodies"), refused.body());
        assertTrue(refused.headers().firstValue("x-request-id").isPresent());
        assertEquals(200, server.post("/tokenize", SMALL).statusCode());
      }
      // The one before has left; whoever comes in its time waits for its room.
      assertEquals(200, server.post("/tokenize", large).statusCode());
    }
  }

  /// As many as would fill the heap twice, parsed, wait for their answers: by then none of them
  /// holds its body.
  @Test
  void manyWaitForTheirAnswersAtOnce() throws Exception {
    String large = objects(OBJECTS).replace("content", "prompt");
    int many = (int) (2 * Runtime.getRuntime().maxMemory() / (24L * large.length())) + 1;
    try (TestServer server = server(8 << 20);
        ExecutorService clients = Executors.newFixedThreadPool(many)) {
      server.engine.stalled = true;
      List<Future<HttpResponse<String>>> answers = new ArrayList<>();
      for (int i = 0; i < many; i++) {
        answers.add(clients.submit(() -> server.post("/v1/completions", large)));
      }
      while (server.engine.running.size() < many) {
        Thread.sleep(10);
      }
      server.engine.stalled = false;
      for (Future<HttpResponse<String>> answer : answers) {
        assertEquals(200, answer.get().statusCode(), answer.get().body());
      }
    }
  }
}
