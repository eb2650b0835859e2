package dev.tessera.server.http;

import static dev.tessera.server.http.TestServer.events;
import static dev.tessera.server.http.TestServer.json;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.tessera.server.engine.FinishReason;
import java.io.IOException;
import java.net.Socket;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/// The shape of event streams: what the first, the middle and the last chunk hold.
final class StreamingTest {
  private static final String CHAT =
      "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"stream\":true";

  @Test
  void aChatBeginsWithTheRoleAndEndsWithAnEmptyDelta() {
    try (var server = new TestServer()) {
      var response = server.post("/v1/chat/completions", CHAT + "}");
      assertEquals(
          "text/event-stream; charset=utf-8",
          response.headers().firstValue("Content-Type").orElseThrow());
      List<JsonNode> events = events(response.body());
      JsonNode first = events.getFirst().at("/choices/0");
      assertEquals("assistant", first.at("/delta/role").textValue());
      assertEquals("", first.at("/delta/content").textValue());
      StringBuilder text = new StringBuilder();
      for (JsonNode event : events) {
        assertEquals("chat.completion.chunk", event.get("object").textValue());
        assertEquals(events.getFirst().get("id"), event.get("id"));
        assertTrue(event.get("id").textValue().startsWith("chatcmpl-"));
        assertEquals(1, event.get("choices").size());
        assertFalse(event.has("usage"));
        text.append(event.at("/choices/0/delta/content").asText(""));
      }
      for (JsonNode event : events.subList(1, events.size())) {
        assertFalse(event.at("/choices/0/delta").has("role"));
      }
      for (JsonNode event : events.subList(0, events.size() - 1)) {
        assertTrue(event.at("/choices/0/finish_reason").isNull());
      }
      assertEquals("stop", events.getLast().at("/choices/0/finish_reason").textValue());
      assertEquals(0, events.getLast().at("/choices/0/delta").size());
      assertTrue(events.getLast().has("timings"));
      assertEquals("Hello, world!", text.toString());
    }
  }

  @Test
  void usageComesInAChunkWithoutChoices() {
    try (var server = new TestServer()) {
      List<JsonNode> events =
          events(
              server
                  .post(
                      "/v1/chat/completions",
                      CHAT + ",\"stream_options\":{\"include_usage\":true}}")
                  .body());
      for (JsonNode event : events.subList(0, events.size() - 1)) {
        assertTrue(event.get("usage").isNull());
        assertFalse(event.has("timings"));
      }
      JsonNode last = events.getLast();
      assertEquals(0, last.get("choices").size());
      assertEquals(13, last.at("/usage/completion_tokens").intValue());
      assertEquals("[user]a<end>[assistant]".length(), last.at("/usage/prompt_tokens").intValue());
      assertEquals(3, last.at("/usage/prompt_tokens_details/cached_tokens").intValue());
      assertEquals(3, last.at("/timings/cache_n").intValue());
      assertEquals(13, last.at("/timings/predicted_n").intValue());
    }
  }

  @Test
  void runningUsageGrowsWithEveryChunk() {
    try (var server = new TestServer()) {
      List<JsonNode> events =
          events(
              server
                  .post(
                      "/v1/completions",
                      "{\"prompt\":\"a\",\"stream\":true,\"stream_options\":"
                          + "{\"include_usage\":true,\"continuous_usage_stats\":true}}")
                  .body());
      int before = 0;
      for (JsonNode event : events) {
        int now = event.at("/usage/completion_tokens").intValue();
        assertTrue(now >= before);
        before = now;
      }
      assertEquals(1, events.getFirst().at("/usage/completion_tokens").intValue());
      assertEquals(13, before);
    }
  }

  @Test
  void streamedAndWholeAnswersAreTheSameText() {
    try (var server = new TestServer()) {
      server.engine.script = r -> FakeEngine.bytes("Grüße, 世界 👩‍👩‍👧 und STOP mehr");
      for (String options :
          List.of(
              "",
              ",\"stop\":\"STOP\"",
              ",\"stop\":[\"界\",\"👧\"],\"include_stop_str_in_output\":true",
              ",\"max_tokens\":9",
              ",\"echo\":true",
              ",\"n\":3")) {
        String body = "{\"max_tokens\":100,\"prompt\":[\"ä\",\"b\"]" + options;
        JsonNode whole = json(server.post("/v1/completions", body + "}"));
        Map<Integer, StringBuilder> texts = new HashMap<>();
        Map<Integer, String> reasons = new HashMap<>();
        for (JsonNode event :
            events(server.post("/v1/completions", body + ",\"stream\":true}").body())) {
          JsonNode choice = event.at("/choices/0");
          int index = choice.get("index").intValue();
          texts
              .computeIfAbsent(index, i -> new StringBuilder())
              .append(choice.get("text").textValue());
          if (!choice.get("finish_reason").isNull()) {
            assertNull(reasons.put(index, choice.get("finish_reason").textValue()));
          }
        }
        for (JsonNode choice : whole.get("choices")) {
          int index = choice.get("index").intValue();
          assertEquals(choice.get("text").textValue(), texts.get(index).toString(), options);
          assertEquals(choice.get("finish_reason").textValue(), reasons.get(index), options);
        }
        assertEquals(whole.get("choices").size(), texts.size());
      }
    }
  }

  @Test
  void usageAddsUpOverPromptsAndCountsAPromptOnceForItsSamples() {
    try (var server = new TestServer()) {
      JsonNode answer =
          json(server.post("/v1/completions", "{\"prompt\":[\"aaa\",\"b\"],\"n\":3}"));
      assertEquals(4 + 2, answer.at("/usage/prompt_tokens").intValue());
      assertEquals(2 * 3 * 13, answer.at("/usage/completion_tokens").intValue());
      assertEquals(84, answer.at("/usage/total_tokens").intValue());
      assertEquals(6, answer.get("choices").size());
      for (int i = 0; i < 6; i++) {
        assertEquals(i, answer.at("/choices/" + i + "/index").intValue());
      }
      assertFalse(answer.has("timings"));
    }
  }

  @Test
  void logProbabilitiesComeEvenForUnfinishedCharacters() {
    try (var server = new TestServer()) {
      server.engine.script = r -> FakeEngine.bytes("é世");
      String body = CHAT + ",\"logprobs\":true,\"top_logprobs\":2}";
      StringBuilder text = new StringBuilder();
      List<Integer> bytes = new ArrayList<>();
      for (JsonNode event : events(server.post("/v1/chat/completions", body).body())) {
        text.append(event.at("/choices/0/delta/content").asText(""));
        for (JsonNode token : event.at("/choices/0/logprobs/content")) {
          assertEquals(2, token.get("top_logprobs").size());
          token.get("bytes").forEach(b -> bytes.add(b.intValue()));
        }
      }
      assertEquals("é世", text.toString());
      assertEquals(List.of(0xc3, 0xa9, 0xe4, 0xb8, 0x96), bytes);

      JsonNode logprobs =
          json(server.post("/v1/completions", "{\"prompt\":\"a\",\"logprobs\":0}"))
              .at("/choices/0/logprobs");
      assertEquals("bytes:\\xc3", logprobs.at("/tokens/0").textValue());
      assertEquals(1, logprobs.at("/top_logprobs/0").size());
      assertEquals("[0,1,1,2,2]", logprobs.get("text_offset").toString());
    }
  }

  @Test
  void tokensCanBeReturnedAsIds() {
    try (var server = new TestServer()) {
      server.engine.script = r -> FakeEngine.bytes("ab");
      JsonNode choice =
          json(server.post(
                  "/v1/completions",
                  "{\"prompt\":\"x\",\"logprobs\":1,\"return_tokens_as_token_ids\":true,"
                      + "\"return_token_ids\":true}"))
              .at("/choices/0");
      assertEquals("token_id:97", choice.at("/logprobs/tokens/0").textValue());
      assertTrue(choice.at("/logprobs/top_logprobs/0").has("token_id:97"));
      assertEquals("[256,120]", choice.get("prompt_token_ids").toString());
      assertEquals("[97,98]", choice.get("token_ids").toString());
    }
  }

  @Test
  void echoScoresThePromptFirst() {
    try (var server = new TestServer()) {
      JsonNode choice =
          json(server.post(
                  "/v1/completions",
                  "{\"prompt\":\"ab\",\"echo\":true,\"logprobs\":1,\"max_tokens\":0}"))
              .at("/choices/0");
      assertEquals("ab", choice.get("text").textValue());
      assertEquals("length", choice.get("finish_reason").textValue());
      assertEquals("[\"<s>\",\"a\",\"b\"]", choice.at("/logprobs/tokens").toString());
      assertEquals("[null,-0.5,-0.5]", choice.at("/logprobs/token_logprobs").toString());
      assertEquals("[0,0,1]", choice.at("/logprobs/text_offset").toString());
    }
  }

  @Test
  void heldBackTextIsFlushedAtTheLimit() {
    try (var server = new TestServer()) {
      server.engine.script = r -> FakeEngine.bytes("so STO and on");
      String body = "{\"prompt\":\"a\",\"stop\":\"STOP\",\"max_tokens\":6}";
      JsonNode choice = json(server.post("/v1/completions", body)).at("/choices/0");
      assertEquals("so STO", choice.get("text").textValue());
      assertEquals("length", choice.get("finish_reason").textValue());
    }
  }

  @Test
  void theReasonOfAStopIsNamed() {
    try (var server = new TestServer()) {
      server.engine.script = r -> FakeEngine.bytes("one two three");
      JsonNode text =
          json(server.post("/v1/completions", "{\"prompt\":\"a\",\"stop\":[\"two\"]}"))
              .at("/choices/0");
      assertEquals("one ", text.get("text").textValue());
      assertEquals("two", text.get("stop_reason").textValue());
      JsonNode token =
          json(server.post("/v1/completions", "{\"prompt\":\"a\",\"stop_token_ids\":[32]}"))
              .at("/choices/0");
      assertEquals("one", token.get("text").textValue());
      assertEquals(32, token.get("stop_reason").intValue());
      JsonNode end = json(server.post("/v1/completions", "{\"prompt\":\"a\"}")).at("/choices/0");
      assertTrue(end.get("stop_reason").isNull());
    }
  }

  @Test
  void aStopStringEndsTheSampleInTheEngineToo() throws Exception {
    try (var server = new TestServer()) {
      server.engine.script = r -> FakeEngine.bytes("ab".repeat(500));
      server.engine.tokenMillis = 2;
      var answer =
          json(
              server.post(
                  "/v1/completions", "{\"prompt\":\"a\",\"stop\":\"ba\",\"max_tokens\":900}"));
      assertEquals("a", answer.at("/choices/0/text").textValue());
      assertEquals(3, answer.at("/usage/completion_tokens").intValue());
    }
  }

  @Test
  void aFailureInTheMiddleIsAnEventAndTheEnd() {
    try (var server = new TestServer()) {
      server.engine.ending = FinishReason.ERROR;
      List<JsonNode> events = events(server.post("/v1/chat/completions", CHAT + "}").body());
      JsonNode error = events.getLast().get("error");
      assertEquals(500, error.get("code").intValue());
      assertTrue(error.get("message").textValue().contains("NaN"));
      var whole =
          server.post(
              "/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}");
      assertEquals(500, whole.statusCode());
    }
  }

  @Test
  void silenceIsFilledWithComments() throws IOException {
    try (var server =
            new TestServer(d -> TestServer.with(d, Map.of("keepAlive", Duration.ofMillis(30))));
        Socket socket = server.connect()) {
      server.engine.stalled = true;
      TestServer.write(socket, TestServer.postRequest("/v1/chat/completions", CHAT + "}"));
      StringBuilder seen = new StringBuilder();
      while (seen.indexOf(": keep-alive\n\n") < 0) {
        int b = socket.getInputStream().read();
        assertTrue(b >= 0, seen.toString());
        seen.append((char) b);
      }
      assertTrue(seen.toString().startsWith("HTTP/1.1 200"));
      assertFalse(seen.toString().contains("data:"));
    }
  }

  @Test
  void aRequestMayTakeOnlySoLong() {
    try (var server =
        new TestServer(
            d ->
                TestServer.with(
                    d,
                    Map.of(
                        "request", Duration.ofMillis(100), "keepAlive", Duration.ofMillis(30))))) {
      server.engine.stalled = true;
      var response = server.post("/v1/completions", "{\"prompt\":\"a\"}");
      assertEquals(503, response.statusCode());
      assertNotNull(json(response).get("error"));
      TestServer.await("the request is freed", () -> server.engine.running.isEmpty());
    }
  }

  @Test
  void aCompletionKeepsTheSpaceBeforeItsFirstWordAndAMessageDoesNot() {
    try (var server = new TestServer()) {
      server.engine.script = request -> FakeEngine.bytes(" two");
      String completion = "{\"prompt\":\"one\",\"echo\":true,\"stream\":%s}";
      var whole = json(server.post("/v1/completions", completion.formatted(false)));
      assertEquals("one two", whole.at("/choices/0/text").asText());
      StringBuilder text = new StringBuilder();
      events(server.post("/v1/completions", completion.formatted(true)).body())
          .forEach(event -> text.append(event.at("/choices/0/text").asText()));
      assertEquals("one two", text.toString());

      String user = "{\"role\":\"user\",\"content\":\"a\"}";
      String begun = user + ",{\"role\":\"assistant\",\"content\":\"one\"}";
      assertEquals("two", message(server, "{\"messages\":[" + user + "]}"));
      assertEquals(
          " two",
          message(server, "{\"messages\":[" + begun + "],\"continue_final_message\":true}"));
    }
  }

  private static String message(TestServer server, String body) {
    return json(server.post("/v1/chat/completions", body))
        .at("/choices/0/message/content")
        .asText();
  }
}
