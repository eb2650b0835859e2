package dev.tessera.server.http;

import com.code_intelligence.jazzer.junit.DictionaryEntries;
import com.code_intelligence.jazzer.junit.FuzzTest;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.tessera.kvcache.CachePicture;
import dev.tessera.models.SamplingDefaults;
import dev.tessera.models.template.ChatTemplate;
import dev.tessera.models.template.ChatTemplates;
import dev.tessera.models.template.TemplateException;
import dev.tessera.server.engine.Admission;
import dev.tessera.server.engine.EngineStats;
import dev.tessera.server.engine.GenerationRequest;
import dev.tessera.server.engine.TokenEngine;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.provider.MethodSource;

/// Any bytes are a request that the engine can run, or a client's error: nothing else is thrown.
///
/// The build runs the seeds; `.ci/fuzz` searches.
class RequestFuzzTest {
  private static final int CONTEXT = 512;
  private static final int LOGIT_WIDTH = FakeTokenizer.VOCABULARY + 2;

  private static final Responder NEVER_REACHED = new Responder(Duration.ZERO, Duration.ZERO);
  private static final CompletionsEndpoint COMPLETIONS =
      new CompletionsEndpoint(RequestLimits.DEFAULT, NEVER_REACHED);
  private static final ChatEndpoint CHAT = new ChatEndpoint(RequestLimits.DEFAULT, NEVER_REACHED);
  private static final TokenizeEndpoint TOKENS = new TokenizeEndpoint();
  private static final ServedModel MODEL = model();

  static Stream<byte[]> completionSeeds() {
    return bodies(
        """
        {"model": "fuzz", "prompt": "once", "max_tokens": 5, "temperature": 0.5, "top_p": 0.9,
         "top_k": 40, "min_p": 0.1, "n": 2, "best_of": 2, "seed": -1, "stop": ["a", "é😀"]}
        """,
        """
        {"prompt": [1, 2, 3], "echo": true, "logprobs": 3, "max_tokens": 0, "logit_bias": {"7": -1e1},
         "presence_penalty": 1, "frequency_penalty": -2, "repetition_penalty": 1.5}
        """,
        """
        {"a name\\nof two lines": ["a", "\\ud83d"]}
        """,
        """
        {"prompt": ["a", "b"], "stream": true, "stream_options": {"include_usage": true},
         "stop_token_ids": [1], "min_tokens": 1, "ignore_eos": true, "priority": 9, "user": null}
        """,
        """
        {"prompt": [[1], [2, 3]], "logit_bias": [[3, false], [4, 1.5]], "truncation_side": "right",
         "truncate_prompt_tokens": 2, "cache_salt": "s", "request_id": "r-1", "suffix": "",
         "response_format": {"type": "text"}, "skip_special_tokens": false}
        """);
  }

  @DictionaryEntries({
    "\"prompt\":",
    "\"max_tokens\":",
    "\"min_tokens\":",
    "\"temperature\":",
    "\"logit_bias\":",
    "\"stop\":",
    "\"seed\":",
    "\"n\":",
    "\"echo\":true",
    "\"stream_options\":{",
    "1e400",
    "-0.0",
    "9223372036854775808",
    "\\ud83d",
    "\\u0000",
    "null",
    "true",
    "[[",
    "]]",
    "{}",
    ",",
    "1.0"
  })
  @MethodSource("completionSeeds")
  @FuzzTest
  void completions(byte[] body) {
    refusesOrAnswers(body, COMPLETIONS::handle);
  }

  static Stream<byte[]> chatSeeds() {
    return bodies(
        """
        {"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content":
          [{"type": "text", "text": "hi"}]}], "max_completion_tokens": 4, "logprobs": true,
         "top_logprobs": 2, "tools": [{"type": "function", "function": {"name": "f",
          "parameters": {"type": "object"}}}], "tool_choice": "auto"}
        """,
        """
        {"messages": [{"role": "user", "content": "a", "name": "n"}, {"role": "assistant",
          "content": null, "tool_calls": [{"id": "1", "type": "function", "function":
          {"name": "f", "arguments": "{}"}}]}, {"role": "tool", "content": "b", "tool_call_id": "1"}],
         "documents": [{"title": "t"}], "chat_template_kwargs": {"thinking": true}}
        """,
        """
        {"messages": [{"role": "developer", "content": "a"}, {"role": "assistant", "content": "b"}],
         "continue_final_message": true, "add_generation_prompt": false, "echo": true,
         "reasoning_effort": "low", "metadata": {"a": "b"}, "store": false}
        """);
  }

  @DictionaryEntries({
    "\"messages\":[",
    "\"role\":\"user\"",
    "\"content\":",
    "\"tool_calls\":[",
    "\"function\":{",
    "\"tools\":[",
    "\"tool_choice\":",
    "\"documents\":[",
    "\"chat_template_kwargs\":{",
    "\"continue_final_message\":true",
    "\"type\":\"text\"",
    "\"text\":",
    "\\udc00",
    "null",
    "{}",
    "[]"
  })
  @MethodSource("chatSeeds")
  @FuzzTest
  void chat(byte[] body) {
    refusesOrAnswers(body, CHAT::handle);
  }

  static Stream<byte[]> tokenSeeds() {
    return Stream.concat(
        bodies(
            """
            {"prompt": "añ😀 <s>", "add_special_tokens": false, "return_token_strs": true}
            """,
            """
            {"content": "a\\u0000b", "add_special": true, "parse_special": false, "with_pieces": true}
            """,
            """
            {"model": "fuzz", "tokens": [1, 2, 256, 195]}
            """),
        chatSeeds());
  }

  @DictionaryEntries({
    "\"prompt\":",
    "\"content\":",
    "\"tokens\":[",
    "\"messages\":[",
    "\"with_pieces\":true",
    "\"return_token_strs\":true",
    "\"role\":\"user\"",
    "257",
    "-1",
    "\\ud800",
    "{}",
    "[]"
  })
  @MethodSource("tokenSeeds")
  @FuzzTest
  void tokens(byte[] body) {
    refusesOrAnswers(body, TOKENS::tokenize);
    refusesOrAnswers(body, TOKENS::detokenize);
    refusesOrAnswers(body, TOKENS::applyTemplate);
  }

  private static void refusesOrAnswers(byte[] body, BiConsumer<Exchange, ServedModel> endpoint) {
    var client = new FakeExchange(body);
    try {
      endpoint.accept(client.exchange(), MODEL);
    } catch (ApiException e) {
      int status = e.error().status();
      boolean reachedTheEngine = status == ApiError.draining().status();
      if (!reachedTheEngine && (status < 400 || status > 499)) {
        throw new AssertionError("status " + status, e);
      }
      requireSound(e.error());
      return;
    }
    if (client.answer() == null) {
      throw new AssertionError("neither answered nor refused");
    }
    JsonBody.parse(client.answer());
  }

  /// An error is short, is JSON, and says something in one line.
  private static void requireSound(ApiError error) {
    ObjectNode json = JsonBody.parse(bytes(error.toJson().toString()));
    String message = json.get("error").get("message").textValue();
    if (message.isBlank() || message.length() > 2_000 || message.indexOf('\n') >= 0) {
      throw new AssertionError("not a message: " + message);
    }
  }

  /// Checks what it is given as the contract of [TokenEngine] wants it, and is always about to
  /// stop.
  private static final class StrictEngine implements TokenEngine {
    @Override
    public Admission submit(GenerationRequest request) {
      for (int token : request.prompt()) {
        require(token >= 0 && token < LOGIT_WIDTH, "token " + token);
      }
      for (int token : request.stopTokens()) {
        require(token >= 0 && token < LOGIT_WIDTH, "stop token " + token);
      }
      for (int token : request.sampling().biasTokens()) {
        require(token >= 0 && token < LOGIT_WIDTH, "biased token " + token);
      }
      for (float bias : request.sampling().biasValues()) {
        require(bias <= 100 && (bias >= -100 || Float.isInfinite(bias)), "bias " + bias);
      }
      int total = request.prompt().length + request.maxTokens();
      require(total <= CONTEXT, total + " tokens in the window");
      require(request.samples() <= RequestLimits.DEFAULT.samples(), request.samples() + " samples");
      return new Admission.Draining();
    }

    private static void require(boolean holds, String what) {
      if (!holds) {
        throw new AssertionError("the engine was asked for " + what);
      }
    }

    @Override
    public int contextTokens() {
      return CONTEXT;
    }

    @Override
    public EngineStats stats() {
      throw new UnsupportedOperationException();
    }

    @Override
    public @Nullable CachePicture picture(Duration limit) {
      return null;
    }

    @Override
    public boolean drain(Duration limit) {
      return true;
    }

    @Override
    public boolean isAlive() {
      return true;
    }
  }

  private static ServedModel model() {
    return new ServedModel(
        List.of("fuzz"),
        new FakeTokenizer(),
        template(),
        SamplingDefaults.NONE,
        new StrictEngine(),
        LOGIT_WIDTH,
        64,
        ServedModel.longestToken(new FakeTokenizer()),
        64,
        CONTEXT,
        1000,
        2000,
        new byte[] {1, 2, 3, 4},
        1_700_000_000);
  }

  /// Touches all that a request can put into a template.
  private static ChatTemplate template() {
    String source =
        """
        {% if tools %}{{ tools | tojson }}{% endif %}{{ documents }}{{ reasoning_effort }}
        {%- for message in messages %}<|{{ message.role }}|>
        {%- if message.content is string %}{{ message.content | trim }}
        {%- elif message.content %}{% for part in message.content %}{{ part.text }}{% endfor %}
        {%- endif %}{% for call in message.tool_calls %}{{ call.function.name }}
        {{- call.function.arguments | tojson }}{% endfor %}{% endfor %}
        {%- if add_generation_prompt %}<|assistant|>{% endif %}
        """;
    try {
      return ChatTemplates.compile(source, "<s>", "</s>");
    } catch (TemplateException e) {
      throw new AssertionError(e);
    }
  }

  private static Stream<byte[]> bodies(String... texts) {
    return Stream.of(texts).map(RequestFuzzTest::bytes);
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
