package dev.tessera.server.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.http.StreamResponse;
import com.openai.errors.BadRequestException;
import com.openai.errors.NotFoundException;
import com.openai.errors.RateLimitException;
import com.openai.errors.UnauthorizedException;
import com.openai.models.chat.completions.ChatCompletion;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.chat.completions.ChatCompletionStreamOptions;
import com.openai.models.completions.Completion;
import com.openai.models.completions.CompletionCreateParams;
import dev.tessera.server.engine.Admission;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/// OpenAI's own client for Java, unchanged, with its responses validated.
final class OpenAiJavaTest {
  private static TestServer server;
  private static OpenAIClient client;

  @BeforeAll
  static void start() {
    server =
        new TestServer(
            d -> TestServer.with(d, Map.of("apiKeys", List.of("key"), "corsOrigins", List.of())));
    client = client("key");
  }

  private static OpenAIClient client(String key) {
    return OpenAIOkHttpClient.builder()
        .baseUrl(server.url("/v1"))
        .apiKey(key)
        .maxRetries(0)
        .responseValidation(true)
        .build();
  }

  @AfterAll
  static void stop() {
    client.close();
    server.close();
  }

  private static ChatCompletionCreateParams.Builder chat() {
    return ChatCompletionCreateParams.builder()
        .model("fake")
        .addDeveloperMessage("Be brief.")
        .addUserMessage("Hello?");
  }

  @Test
  void listsModels() {
    assertEquals(
        List.of("fake", "org/alias"),
        client.models().list().items().stream().map(m -> m.id()).toList());
    assertEquals("fake", client.models().retrieve("fake").id());
  }

  @Test
  void chats() {
    ChatCompletion answer =
        client.chat().completions().create(chat().logprobs(true).topLogprobs(2).n(2).build());
    assertEquals(2, answer.choices().size());
    var choice = answer.choices().getFirst();
    assertEquals("Hello, world!", choice.message().content().orElseThrow());
    assertEquals(
        "Hello, world!",
        choice.logprobs().orElseThrow().content().orElseThrow().stream()
            .map(token -> token.token())
            .collect(Collectors.joining()));
    assertEquals(2 * 13, answer.usage().orElseThrow().completionTokens());
  }

  @Test
  void streamsChats() {
    var params =
        chat()
            .streamOptions(ChatCompletionStreamOptions.builder().includeUsage(true).build())
            .build();
    List<ChatCompletionChunk> chunks = new ArrayList<>();
    try (StreamResponse<ChatCompletionChunk> stream =
        client.chat().completions().createStreaming(params)) {
      stream.stream().forEach(chunks::add);
    }
    assertEquals(
        "Hello, world!",
        chunks.stream()
            .flatMap(chunk -> chunk.choices().stream())
            .flatMap(choice -> choice.delta().content().stream())
            .collect(Collectors.joining()));
    assertEquals(13, chunks.getLast().usage().orElseThrow().completionTokens());
  }

  @Test
  void completes() {
    Completion answer =
        client
            .completions()
            .create(
                CompletionCreateParams.builder()
                    .model("fake")
                    .promptOfArrayOfStrings(List.of("a", "b"))
                    .logprobs(1)
                    .build());
    assertEquals("Hello, world!", answer.choices().getFirst().text());
    assertEquals(
        13, answer.choices().getLast().logprobs().orElseThrow().tokens().orElseThrow().size());
    // Its model of a chunk knows no null as a finish_reason, which OpenAI itself sends.
    try (StreamResponse<Completion> stream =
        client
            .withOptions(options -> options.responseValidation(false))
            .completions()
            .createStreaming(CompletionCreateParams.builder().model("fake").prompt("a").build())) {
      assertEquals(
          "Hello, world!",
          stream.stream()
              .flatMap(chunk -> chunk.choices().stream())
              .map(choice -> choice.text())
              .collect(Collectors.joining()));
    }
  }

  @Test
  void errorsAreItsOwnExceptions() {
    var bad =
        assertThrows(
            BadRequestException.class,
            () -> client.chat().completions().create(chat().temperature(3).build()));
    assertEquals("temperature", bad.param().orElseThrow());
    assertTrue(bad.getMessage().contains("temperature"), bad.getMessage());
    assertThrows(
        NotFoundException.class,
        () -> client.chat().completions().create(chat().model("nobody").build()));
    OpenAIClient stranger = client("wrong");
    assertThrows(UnauthorizedException.class, () -> stranger.models().list());
    stranger.close();
    server.engine.refusal = request -> new Admission.QueueFull(1, 1);
    try {
      assertThrows(
          RateLimitException.class, () -> client.chat().completions().create(chat().build()));
    } finally {
      server.engine.refusal = request -> null;
    }
  }
}
