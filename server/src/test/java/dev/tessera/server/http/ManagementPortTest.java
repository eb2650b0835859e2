package dev.tessera.server.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/// The second listener: what an operator's tools ask, without a key, and nothing else.
@SuppressWarnings("try")
final class ManagementPortTest {
  private static TestServer server(boolean ready) {
    return new TestServer(
        settings ->
            TestServer.with(settings, Map.of("managementPort", 0, "apiKeys", List.of("secret"))),
        ready);
  }

  private static HttpResponse<String> ask(TestServer server, String method, String path)
      throws IOException, InterruptedException {
    URI uri = URI.create("http://127.0.0.1:" + server.server.managementPort() + path);
    return server.client.send(
        HttpRequest.newBuilder(uri)
            .method(method, HttpRequest.BodyPublishers.ofString("{\"prompt\":\"a\"}"))
            .header("Content-Type", "application/json")
            .build(),
        HttpResponse.BodyHandlers.ofString());
  }

  @Test
  void tellsMetricsAndHealthWithoutAKey() throws Exception {
    try (var server = server(true)) {
      assertNotEquals(server.server.port(), server.server.managementPort());
      var metrics = ask(server, "GET", "/metrics");
      assertEquals(200, metrics.statusCode());
      assertTrue(metrics.body().contains("vllm:num_requests_running"), metrics.body());
      assertEquals(200, ask(server, "GET", "/health").statusCode());
    }
  }

  @Test
  void takesTheMetricsOffThePublicPort() throws Exception {
    try (var server = server(true)) {
      assertEquals(404, server.get("/metrics", "Authorization", "Bearer secret").statusCode());
      assertEquals(200, server.get("/health").statusCode(), "load balancers ask it there");
    }
    try (var server = new TestServer()) {
      assertEquals(server.server.port(), server.server.managementPort());
      assertEquals(200, server.get("/metrics").statusCode());
    }
  }

  /// Without a key, one route too many would be a door.
  @Test
  void generatesNothing() throws Exception {
    try (var server = server(true)) {
      for (String path :
          List.of("/v1/completions", "/completions", "/v1/chat/completions", "/tokenize")) {
        assertTrue(ask(server, "POST", path).statusCode() >= 400, path);
      }
      for (String path : List.of("/v1/models", "/version", "/")) {
        assertTrue(ask(server, "GET", path).statusCode() >= 400, path);
      }
      assertTrue(server.engine.requests.isEmpty());
    }
  }

  @Test
  void isNotHealthyBeforeTheModelIsLoadedNorWhileDrainingNorWithoutProgress() throws Exception {
    try (var server = server(false)) {
      assertEquals(503, ask(server, "GET", "/health").statusCode());
      assertEquals(200, ask(server, "GET", "/metrics").statusCode());
      server.server.ready(server.model(new TestServer.BracketTemplate()));
      assertEquals(200, ask(server, "GET", "/health").statusCode());
      server.engine.alive = false;
      assertEquals(503, ask(server, "GET", "/health").statusCode());
      server.engine.alive = true;
      server.server.drain();
      assertEquals(503, ask(server, "GET", "/health").statusCode());
      assertEquals(200, ask(server, "GET", "/metrics").statusCode());
    }
  }
}
