package dev.tessera.server.http;

import static dev.tessera.server.http.TestServer.json;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/// Who may ask, and from where.
final class AuthTest {
  private static final Set<String> PUBLIC = Set.of("GET /health", "GET /version");

  private static HttpSettings with(HttpSettings d, List<String> keys, List<String> origins) {
    return TestServer.with(d, Map.of("apiKeys", keys, "corsOrigins", origins));
  }

  @Test
  void everyRouteButThePublicOnesNeedsAKey() {
    try (var server = new TestServer(d -> with(d, List.of("secret"), List.of()))) {
      List<Map.Entry<String, String>> routes = server.server.routes().all();
      assertTrue(routes.size() >= 14, routes.toString());
      for (var route : routes) {
        String name = route.getKey() + " " + route.getValue();
        String path = route.getValue().endsWith("/") ? route.getValue() + "fake" : route.getValue();
        byte[] body = route.getKey().equals("POST") ? new byte[] {'{', '}'} : null;
        int open = server.send(route.getKey(), path, body).statusCode();
        int wrong =
            server.send(route.getKey(), path, body, "Authorization", "Bearer wrong").statusCode();
        int right =
            server.send(route.getKey(), path, body, "Authorization", "Bearer secret").statusCode();
        assertEquals(PUBLIC.contains(name) ? 200 : 401, open, name);
        assertEquals(PUBLIC.contains(name) ? 200 : 401, wrong, name);
        assertNotEquals(401, right, name);
      }
      for (String path : List.of("/", "/v1", "/nothing", "/v1/completions/", "/V1/models")) {
        assertEquals(401, server.get(path).statusCode(), path);
      }
      assertEquals(401, server.send("OPTIONS", "/v1/models", null).statusCode());
    }
  }

  @Test
  void bothHeadersAndEveryKeyWork() {
    try (var server = new TestServer(d -> with(d, List.of("one", "two"), List.of()))) {
      for (String key : List.of("one", "two")) {
        assertEquals(200, server.get("/v1/models", "Authorization", "Bearer " + key).statusCode());
        assertEquals(200, server.get("/v1/models", "Authorization", "bearer " + key).statusCode());
        assertEquals(200, server.get("/v1/models", "X-Api-Key", key).statusCode());
      }
      for (String key : List.of("", "on", "onee", "one,two", "One")) {
        var response = server.get("/v1/models", "Authorization", "Bearer " + key);
        assertEquals(401, response.statusCode(), key);
        assertEquals("authentication_error", json(response).at("/error/type").textValue());
        assertEquals("Bearer", response.headers().firstValue("WWW-Authenticate").orElseThrow());
      }
    }
  }

  @Test
  void keysDoNotSharePrefixes() {
    try (var server = new TestServer(d -> with(d, List.of("one", "two"), List.of()))) {
      String body = "{\"prompt\":\"a\"}";
      server.post("/v1/completions", body, "X-Api-Key", "one");
      String first = server.engine.lastRequest().cacheSalt();
      server.post("/v1/completions", body, "X-Api-Key", "two");
      String second = server.engine.lastRequest().cacheSalt();
      server.post(
          "/v1/completions", "{\"prompt\":\"a\",\"cache_salt\":\"mine\"}", "X-Api-Key", "one");
      String salted = server.engine.lastRequest().cacheSalt();
      server.post("/v1/completions", body, "X-Api-Key", "one");
      assertEquals(first, server.engine.lastRequest().cacheSalt());
      assertEquals(3, Set.of(first, second, salted).size());
      assertFalse(first.contains("one"));
    }
  }

  @Test
  void requestIdsAreEchoedWhereTheyAreHarmless() {
    try (var server = new TestServer()) {
      String fine = "abc-123_x.y:z";
      assertEquals(
          fine,
          server.get("/health", "X-Request-Id", fine).headers().firstValue("x-request-id").get());
      for (String odd : List.of("a b", "x".repeat(129), "http://evil/", "%0a")) {
        String echoed =
            server.get("/health", "X-Request-Id", odd).headers().firstValue("x-request-id").get();
        assertNotEquals(odd, echoed);
        assertTrue(RequestId.isSound(echoed));
      }
      var answer = server.post("/v1/completions", "{\"prompt\":\"a\"}", "X-Request-Id", fine);
      assertEquals("cmpl-" + fine, json(answer).get("id").textValue());
      assertEquals(fine, server.engine.lastRequest().id());
    }
  }

  @Test
  void browsersAreKeptOutUnlessTheirOriginIsNamed() {
    try (var server = new TestServer()) {
      var response = server.get("/v1/models", "Origin", "http://page");
      assertTrue(response.headers().firstValue("Access-Control-Allow-Origin").isEmpty());
      assertEquals(405, server.send("OPTIONS", "/v1/completions", null).statusCode());
    }
    try (var server = new TestServer(d -> with(d, List.of("k"), List.of("http://page")))) {
      var preflight = server.send("OPTIONS", "/v1/completions", null, "Origin", "http://page");
      assertEquals(204, preflight.statusCode());
      assertEquals(
          "http://page",
          preflight.headers().firstValue("Access-Control-Allow-Origin").orElseThrow());
      assertEquals(
          401,
          server.send("OPTIONS", "/v1/completions", null, "Origin", "http://other").statusCode());
      assertEquals(401, server.get("/v1/models", "Origin", "http://page").statusCode());
    }
  }

  @Test
  void beforeTheModelIsThereEverythingSaysSo() {
    try (var server = new TestServer(d -> d, false)) {
      var health = server.get("/health");
      assertEquals(503, health.statusCode());
      assertEquals("Loading model", json(health).at("/error/message").textValue());
      assertEquals("1", health.headers().firstValue("Retry-After").orElseThrow());
      assertEquals(503, server.get("/v1/models").statusCode());
      assertEquals(503, server.post("/v1/completions", "{\"prompt\":\"a\"}").statusCode());
      assertEquals(200, server.get("/version").statusCode());
      server.server.ready(server.model(new TestServer.BracketTemplate()));
      assertEquals(200, server.get("/health").statusCode());
      server.engine.alive = false;
      assertEquals(503, server.get("/health").statusCode());
    }
  }

  @Test
  void aDrainingServerFinishesWhatRunsAndRefusesTheRest() throws Exception {
    try (var server = new TestServer()) {
      server.engine.tokenMillis = 20;
      var running =
          server.client.sendAsync(
              HttpRequest.newBuilder(URI.create(server.url("/v1/completions")))
                  .POST(HttpRequest.BodyPublishers.ofString("{\"prompt\":\"a\"}"))
                  .build(),
              HttpResponse.BodyHandlers.ofString());
      TestServer.await("it runs", () -> server.engine.running.size() == 1);
      server.server.drain();
      assertEquals(503, server.get("/health").statusCode());
      var refused = server.post("/v1/completions", "{\"prompt\":\"a\"}");
      assertEquals(503, refused.statusCode());
      assertTrue(refused.headers().firstValue("Retry-After").isPresent());
      assertTrue(running.get().body().contains("Hello, world!"));
      assertTrue(server.server.awaitAnswers(java.time.Duration.ofSeconds(5)));
    }
  }

  @Test
  void overloadIsSaidWithARetryAfter() {
    try (var server = new TestServer()) {
      server.engine.refusal =
          request -> new dev.tessera.server.engine.Admission.QueueFull(512, 512);
      var full = server.post("/v1/completions", "{\"prompt\":\"a\"}");
      assertEquals(429, full.statusCode());
      assertEquals("1", full.headers().firstValue("Retry-After").orElseThrow());
      server.engine.refusal =
          request -> new dev.tessera.server.engine.Admission.NeverFits(1, 16, 10);
      assertEquals(400, server.post("/v1/completions", "{\"prompt\":\"a\"}").statusCode());
      server.engine.refusal = request -> new dev.tessera.server.engine.Admission.Failed("smoke");
      var failed = server.post("/v1/completions", "{\"prompt\":\"a\"}");
      assertEquals(500, failed.statusCode());
      assertEquals("false", failed.headers().firstValue("x-should-retry").orElseThrow());
    }
  }
}
