package dev.tessera.server.http;

import static dev.tessera.server.http.TestServer.json;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Whatever a client sends: a clear error that names the field, no work for the engine, and a
/// server that answers the next request.
final class BadInputTest {
  @AutoClose private static final TestServer server = new TestServer();

  @AfterEach
  void theNextRequestIsAnswered() {
    assertEquals(200, server.post("/v1/completions", "{\"prompt\":\"a\"}").statusCode());
  }

  private static void refuses(HttpResponse<String> response, int status, String param) {
    assertEquals(status, response.statusCode(), response.body());
    JsonNode error = json(response).get("error");
    assertEquals("error", error.get("object").textValue());
    assertEquals(status, error.get("code").intValue());
    assertFalse(error.get("message").textValue().isBlank());
    assertFalse(error.get("type").textValue().isBlank());
    if (param != null) {
      assertEquals(param, error.get("param").textValue(), response.body());
      String field = param.split("[.\\[]")[0];
      assertTrue(error.get("message").textValue().contains(field), response.body());
    }
    assertTrue(response.headers().firstValue("x-request-id").isPresent());
  }

  static Stream<Arguments> completionFields() {
    return Stream.of(
            "temperature|-0.1",
            "temperature|2.1",
            "temperature|\"hot\"",
            "temperature|1e400",
            "temperature|true",
            "top_p|0",
            "top_p|-0.0",
            "top_p|1.01",
            "top_p|\"test\"",
            "top_k|-2",
            "top_k|1.5",
            "min_p|-0.1",
            "min_p|1.5",
            "presence_penalty|2.5",
            "frequency_penalty|-2.5",
            "repetition_penalty|0",
            "repetition_penalty|-1",
            "repetition_penalty|1e400",
            "n|0",
            "n|-1",
            "n|9",
            "n|2147483647",
            "n|1e308",
            "n|\"two\"",
            "best_of|2",
            "max_tokens|0",
            "max_tokens|-1",
            "max_tokens|99999999999999999999",
            "max_tokens|\"many\"",
            "min_tokens|-1",
            "min_tokens|17",
            "logprobs|21",
            "logprobs|-1",
            "seed|9223372036854775808",
            "seed|-9223372036854775809",
            "seed|1.5",
            "stop|\"\"",
            "stop|[\"a\",\"\"]",
            "stop|[1]",
            "stop|{}",
            "stop_token_ids|[260]",
            "stop_token_ids|[-1]",
            "stop_token_ids|[\"a\"]",
            "stop_token_ids|7",
            "logit_bias|{\"foo\":1}",
            "logit_bias|{\"260\":1}",
            "logit_bias|{\"-1\":1}",
            "logit_bias|{\"1\":\"x\"}",
            "logit_bias|[[1]]",
            "logit_bias|\"x\"",
            "stream|\"yes\"",
            "stream_options|{\"include_usage\":true}",
            "echo|1",
            "ignore_eos|\"true\"",
            "priority|1.5",
            "cache_salt|\"\"",
            "cache_salt|\"a/b\"",
            "cache_salt|\"a\\u0000b\"",
            "cache_salt|3",
            "request_id|\"a b\"",
            "request_id|\"a\\nb\"",
            "truncate_prompt_tokens|0",
            "truncate_prompt_tokens|-2",
            "truncation_side|\"middle\"",
            "suffix|\"end\"",
            "response_format|{\"type\":\"json_object\"}",
            "response_format|{\"type\":\"sound\"}",
            "response_format|\"json\"",
            "use_beam_search|true",
            "prompt_embeds|\"AAAA\"",
            "structured_outputs|{\"json\":{}}",
            "add_special_tokens|\"x\"",
            "prompt|null",
            "prompt|\"\"",
            "prompt|[]",
            "prompt|[[]]",
            "prompt|[\"\"]",
            "prompt|[260]",
            "prompt|[-1]",
            "prompt|[4294967296]",
            "prompt|[1,\"a\"]",
            "prompt|[\"a\",[1]]",
            "prompt|[[1],2]",
            "prompt|{\"a\":1}",
            "prompt|7",
            "model|7")
        .map(text -> text.split("\\|", 2))
        .map(pair -> Arguments.of(pair[0], pair[1]));
  }

  @ParameterizedTest(name = "{0} = {1}")
  @MethodSource("completionFields")
  void namesTheFieldAtFaultOfACompletion(String field, String value) {
    String others = field.equals("prompt") ? "" : "\"prompt\":\"a\",";
    var response =
        server.post("/v1/completions", "{" + others + "\"" + field + "\":" + value + "}");
    assertEquals(400, response.statusCode(), response.body());
    JsonNode error = json(response).get("error");
    String param = error.get("param").textValue();
    assertTrue(param != null && param.startsWith(field), response.body());
    assertTrue(error.get("message").textValue().contains(field), response.body());
  }

  static Stream<Arguments> chatFields() {
    return Stream.of(
            "messages|null",
            "messages|\"hi\"",
            "messages|[]",
            "messages|[123]",
            "messages|[{}]",
            "messages|[{\"role\":7,\"content\":\"a\"}]",
            "messages|[{\"role\":\"\",\"content\":\"a\"}]",
            "messages|[{\"role\":\"user\"}]",
            "messages|[{\"role\":\"user\",\"content\":null}]",
            "messages|[{\"role\":\"user\",\"content\":7}]",
            "messages|[{\"role\":\"user\",\"content\":[7]}]",
            "messages|[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://x/\"}}]}]",
            "messages|[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]",
            "messages|[{\"role\":\"assistant\",\"content\":\"a\",\"tool_calls\":[{}]}]",
            "messages|[{\"role\":\"alien\",\"content\":\"a\"}]",
            "max_tokens|0",
            "max_completion_tokens|0",
            "top_logprobs|5",
            "logprobs|5",
            "tools|[]",
            "tools|[7]",
            "tools|\"x\"",
            "tool_choice|\"auto\"",
            "tool_choice|\"required\"",
            "continue_final_message|true",
            "chat_template|\"{{ x }}\"",
            "chat_template_kwargs|7",
            "documents|7",
            "reasoning_effort|7",
            "response_format|{\"type\":\"json_schema\"}")
        .map(text -> text.split("\\|", 2))
        .map(pair -> Arguments.of(pair[0], pair[1]));
  }

  @ParameterizedTest(name = "{0} = {1}")
  @MethodSource("chatFields")
  void namesTheFieldAtFaultOfAChat(String field, String value) {
    String others =
        field.equals("messages") ? "" : "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],";
    var response =
        server.post("/v1/chat/completions", "{" + others + "\"" + field + "\":" + value + "}");
    assertEquals(400, response.statusCode(), response.body());
    String param = json(response).get("error").get("param").textValue();
    assertTrue(param != null && param.startsWith(field), response.body());
  }

  @Test
  void aForcedToolSaysThatItIsNotSupported() {
    var response =
        server.post(
            "/v1/chat/completions",
            """
            {"messages":[{"role":"user","content":"a"}],
             "tools":[{"type":"function","function":{"name":"f"}}],
             "tool_choice":{"type":"function","function":{"name":"f"}}}
            """);
    refuses(response, 400, "tool_choice");
    assertTrue(response.body().contains("not supported"));
  }

  @Test
  void theTemplatesOwnRefusalIsPassedOn() {
    var response =
        server.post(
            "/v1/chat/completions", "{\"messages\":[{\"role\":\"alien\",\"content\":\"a\"}]}");
    assertEquals("Only humans may talk", json(response).at("/error/message").textValue());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "{",
        "}",
        "nul",
        "null",
        "7",
        "\"text\"",
        "[]",
        "{\"prompt\":\"a\"} x",
        "{\"prompt\":NaN}",
        "{\"prompt\":\"a\",\"temperature\":NaN}",
        "{\"prompt\":\"a\",\"temperature\":Infinity}",
        "{'prompt':'a'}",
        "{\"prompt\":\"\\ud800\"}",
        "{\"prompt\":\"a\",\"x\":\"\\udc00\"}",
        "{\"prompt\":\"a\",\"\\ud800\":1}",
        "{\"prompt\":[\"a\",\"\\ud800b\"]}",
        "{\"prompt\":\"a\u0001\"}",
        "{\"prompt\":\"a\",\"x\":[1e400]}"
      })
  void refusesWhatIsNotAnObjectOfWholeCharactersAndFiniteNumbers(String body) {
    refuses(server.post("/v1/completions", body), 400, null);
    refuses(server.post("/v1/chat/completions", body), 400, null);
    refuses(server.post("/tokenize", body), 400, null);
  }

  @Test
  void refusesInvalidUtf8() {
    byte[][] broken = {
      {(byte) 0xff},
      {(byte) 0xc0, (byte) 0x80},
      {(byte) 0xed, (byte) 0xa0, (byte) 0x80},
      {(byte) 0xf4, (byte) 0x90, (byte) 0x80, (byte) 0x80},
      {(byte) 0xe2, (byte) 0x82}
    };
    for (byte[] bytes : broken) {
      byte[] head = "{\"prompt\":\"".getBytes(StandardCharsets.US_ASCII);
      byte[] tail = "\"}".getBytes(StandardCharsets.US_ASCII);
      byte[] body = new byte[head.length + bytes.length + tail.length];
      System.arraycopy(head, 0, body, 0, head.length);
      System.arraycopy(bytes, 0, body, head.length, bytes.length);
      System.arraycopy(tail, 0, body, head.length + bytes.length, tail.length);
      var response = server.send("POST", "/v1/completions", body);
      refuses(response, 400, null);
      assertTrue(response.body().contains("UTF-8"), response.body());
    }
  }

  @Test
  void refusesJsonThatIsTooDeepOrHasTooLongNumbers() {
    String deep = "[".repeat(JsonBody.MAX_DEPTH) + "]".repeat(JsonBody.MAX_DEPTH);
    refuses(server.post("/v1/completions", "{\"prompt\":\"a\",\"x\":" + deep + "}"), 400, null);
    String shallow = "[".repeat(JsonBody.MAX_DEPTH - 1) + "]".repeat(JsonBody.MAX_DEPTH - 1);
    assertEquals(
        200,
        server.post("/v1/completions", "{\"prompt\":\"a\",\"x\":" + shallow + "}").statusCode());
    String digits = "1".repeat(JsonBody.MAX_NUMBER_LENGTH);
    assertEquals(
        200,
        server.post("/v1/completions", "{\"prompt\":\"a\",\"x\":" + digits + "}").statusCode());
    refuses(server.post("/v1/completions", "{\"prompt\":\"a\",\"x\":" + digits + "1}"), 400, null);
  }

  @Test
  void takesLimitsAndRefusesOneMore() {
    assertLimit(RequestLimits.DEFAULT.prompts(), "prompt", k -> list("\"a\"", k), "");
    assertLimit(RequestLimits.DEFAULT.samples(), "n", Integer::toString, "\"prompt\":\"a\",");
    assertLimit(
        RequestLimits.DEFAULT.stopStrings(), "stop", k -> list("\"x\"", k), "\"prompt\":\"a\",");
    assertLimit(
        RequestLimits.DEFAULT.stopCharacters(),
        "stop",
        k -> "\"" + "x".repeat(k) + "\"",
        "\"prompt\":\"a\",");
    assertLimit(
        RequestLimits.DEFAULT.logprobs(), "logprobs", Integer::toString, "\"prompt\":\"a\",");
  }

  private interface Value {
    String of(int size);
  }

  private static void assertLimit(int limit, String field, Value value, String others) {
    String head = "{" + others + "\"" + field + "\":";
    assertEquals(200, server.post("/v1/completions", head + value.of(limit) + "}").statusCode());
    var refusal = server.post("/v1/completions", head + value.of(limit + 1) + "}");
    refuses(refusal, 400, field);
    assertTrue(refusal.body().contains("(request."), "no key: " + refusal.body());
  }

  @Test
  void refusesAFloodWhoseEveryNumberIsAllowed() {
    RequestLimits limits = RequestLimits.DEFAULT;
    int submitted = server.engine.requests.size();
    String body = "{\"prompt\":%s,\"n\":%d,\"max_tokens\":%d}";
    int prompts = limits.sequences() / limits.samples();
    String most = body.formatted(list("\"a\"", prompts), limits.samples(), 1);
    assertEquals(200, server.post("/v1/completions", most).statusCode());
    String more = body.formatted(list("\"a\"", prompts + 1), limits.samples(), 1);
    var refusal = server.post("/v1/completions", more);
    refuses(refusal, 400, "n");
    assertTrue(
        refusal.body().contains("136 sequences; at most 128 are allowed (request.sequences)"),
        refusal.body());

    int tokens = limits.generatedTokens() / limits.samples() + 1;
    refusal = server.post("/v1/completions", body.formatted("\"a\"", limits.samples(), tokens));
    refuses(refusal, 400, "max_tokens");
    assertTrue(
        refusal
            .body()
            .contains("1,048,584; at most 1,048,576 are allowed (request.generated-tokens)"),
        refusal.body());
    String chat =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"n\":%d,\"max_completion_tokens\":%d}"
            .formatted(limits.samples(), tokens);
    refuses(server.post("/v1/chat/completions", chat), 400, "max_completion_tokens");
    assertEquals(submitted + prompts, server.engine.requests.size(), "nothing refused was begun");
  }

  private static String list(String element, int count) {
    return "[" + String.join(",", java.util.Collections.nCopies(count, element)) + "]";
  }

  @Test
  void refusesAHundredThousandPromptsAndHugePromptsBeforeTokenising() {
    refuses(
        server.post("/v1/completions", "{\"prompt\":" + list("\"a\"", 100_000) + "}"),
        400,
        "prompt");
    String huge = "x".repeat(5_000_000);
    var response = server.post("/v1/completions", "{\"prompt\":\"" + huge + "\"}");
    refuses(response, 400, "prompt");
    assertTrue(response.body().contains("characters"), "refused by its length, not its tokens");
    var tokenize = server.post("/tokenize", "{\"content\":\"" + huge + "\"}");
    refuses(tokenize, 400, "content");
  }

  @Test
  void aPromptThatDoesNotFitNamesTheWindowInEveryDialect() {
    int context = FakeEngine.CONTEXT;
    String fits = "x".repeat(context - 16 - 1); // one more for BOS
    assertEquals(200, server.post("/v1/completions", "{\"prompt\":\"" + fits + "\"}").statusCode());
    for (String stream : new String[] {"false", "true"}) {
      var response =
          server.post(
              "/v1/completions", "{\"prompt\":\"x" + fits + "\",\"stream\":" + stream + "}");
      refuses(response, 400, null);
      JsonNode error = json(response).get("error");
      assertEquals("context_length_exceeded", error.get("reason").textValue());
      assertEquals(context, error.get("n_ctx").intValue());
      assertEquals(context - 15, error.get("n_prompt_tokens").intValue());
      String message = error.get("message").textValue();
      assertTrue(message.contains("maximum context length is 2048 tokens"), message);
      assertTrue(message.contains("exceeds the available context size (2048 tokens)"), message);
      assertTrue(message.contains("longer than the model's context length"), message);
      assertTrue(message.contains("max_completion_tokens is too large"), message);
    }
  }

  @Test
  void aTokenIdBetweenVocabularyAndLogitWidthIsAccepted() {
    assertEquals(200, server.post("/v1/completions", "{\"prompt\":[259]}").statusCode());
    refuses(server.post("/detokenize", "{\"tokens\":[258]}"), 400, "tokens");
  }

  @Test
  void refusesOtherContentTypes() {
    var response = server.send("POST", "/v1/completions", null, "Content-Type", "text/plain");
    assertEquals(415, response.statusCode());
  }

  @Test
  void unknownModelsAreNotFound() {
    var response =
        server.post("/v1/completions", "{\"prompt\":\"a\",\"model\":\"../../etc/passwd\"}");
    refuses(response, 404, "model");
    assertEquals(
        "The model '../../etc/passwd' does not exist.",
        json(response).at("/error/message").textValue());
    refuses(server.get("/v1/models/nope"), 404, "model");
  }

  @Test
  void unknownRoutesAndMethodsAreAnsweredInTheSameShape() {
    refuses(server.get("/v2/nothing"), 404, null);
    var wrong = server.get("/v1/chat/completions");
    refuses(wrong, 405, null);
    assertEquals("POST", wrong.headers().firstValue("Allow").orElseThrow());
    var models = server.post("/v1/models", "{}");
    refuses(models, 405, null);
    assertEquals("GET, HEAD", models.headers().firstValue("Allow").orElseThrow());
    refuses(server.send("DELETE", "/v1/models/fake", null), 405, null);
  }

  @Test
  void unknownFieldsAreAcceptedAndCounted() {
    double before = metric("tessera_unknown_fields_total");
    var response =
        server.post("/v1/completions", "{\"prompt\":\"a\",\"user\":\"u\",\"wat\":1,\"hm\":null}");
    assertEquals(200, response.statusCode());
    TestServer.await(
        "the counter grows by two", () -> metric("tessera_unknown_fields_total") == before + 2);
  }

  private static double metric(String name) {
    for (String line : server.metrics.scrape().split("\n")) {
      if (line.startsWith(name + " ")) {
        return Double.parseDouble(line.substring(name.length() + 1));
      }
    }
    throw new AssertionError("no metric " + name);
  }
}
