package dev.tessera.server.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.tessera.server.http.Texts;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// Talks to an OpenAI-compatible server, ours or another.
final class ChatClient implements AutoCloseable {
  private static final JsonMapper JSON = new JsonMapper();
  private static final String DATA = "data:";

  private final String base;
  private final @Nullable String apiKey;
  private final HttpClient http =
      HttpClient.newBuilder()
          .version(HttpClient.Version.HTTP_1_1)
          .connectTimeout(Duration.ofSeconds(10))
          .build();

  record Message(String role, String content) {}

  /// What to ask for beside the text; null leaves it to the server.
  record Wishes(@Nullable Integer maxTokens, @Nullable Double temperature, @Nullable Long seed) {}

  /// @param url with or without `/v1`
  /// @throws CommandFailure if it is not the address of a server
  ChatClient(String url, @Nullable String apiKey) {
    this.base = ServerUrl.base(url) + "/v1";
    this.apiKey = apiKey;
  }

  /// Asks for the next message.
  ///
  /// @param text hears the answer's pieces as they come
  /// @return the whole answer
  /// @throws CommandFailure with what the server says is wrong
  String chat(List<Message> messages, Wishes wishes, Consumer<String> text)
      throws InterruptedException {
    ObjectNode body = JSON.createObjectNode();
    var list = body.putArray("messages");
    for (Message message : messages) {
      list.addObject().put("role", message.role()).put("content", message.content());
    }
    return stream("/chat/completions", body, wishes, "/choices/0/delta/content", text);
  }

  /// Asks for a text's continuation; otherwise like [#chat].
  String complete(String prompt, Wishes wishes, Consumer<String> text) throws InterruptedException {
    ObjectNode body = JSON.createObjectNode();
    body.put("prompt", prompt);
    return stream("/completions", body, wishes, "/choices/0/text", text);
  }

  private String stream(
      String path, ObjectNode body, Wishes wishes, String pointer, Consumer<String> text)
      throws InterruptedException {
    body.put("stream", true);
    if (wishes.maxTokens() != null) {
      body.put("max_tokens", wishes.maxTokens());
    }
    if (wishes.temperature() != null) {
      body.put("temperature", wishes.temperature());
    }
    if (wishes.seed() != null) {
      body.put("seed", wishes.seed());
    }
    try {
      return exchange(path, JSON.writeValueAsBytes(body), pointer, text);
    } catch (java.net.ConnectException e) {
      throw CommandFailure.failed("no server answers at " + base);
    } catch (IOException e) {
      if (Thread.interrupted()) { // a read says it so
        throw (InterruptedException) new InterruptedException().initCause(e);
      }
      throw CommandFailure.failed(
          "the server at %s: %s".formatted(base, Texts.printable(String.valueOf(e.getMessage()))));
    }
  }

  private String exchange(String path, byte[] body, String pointer, Consumer<String> text)
      throws IOException, InterruptedException {
    var request =
        HttpRequest.newBuilder(URI.create(base + path))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofByteArray(body));
    if (apiKey != null) {
      request.header("Authorization", "Bearer " + apiKey);
    }
    HttpResponse<InputStream> response =
        http.send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
    try (InputStream in = response.body()) {
      if (response.statusCode() != 200) {
        throw CommandFailure.failed(refusal(in.readAllBytes(), response.statusCode()));
      }
      return read(in, pointer, text);
    }
  }

  /// What an answer that is none says: an error in OpenAI's form, or whatever else listens there.
  private String refusal(byte[] body, int status) throws IOException {
    try {
      return error(JSON.readTree(body), status);
    } catch (JsonProcessingException e) {
      return "%s answered %d, and not as an OpenAI-compatible server does".formatted(base, status);
    }
  }

  private static String read(InputStream in, String pointer, Consumer<String> text)
      throws IOException {
    StringBuilder whole = new StringBuilder();
    var lines = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      if (!line.startsWith(DATA)) {
        continue;
      }
      String data = line.substring(DATA.length()).strip();
      if (data.equals("[DONE]")) {
        break;
      }
      JsonNode event = JSON.readTree(data);
      if (event.has("error")) {
        throw CommandFailure.failed(error(event, 200));
      }
      String piece = event.at(pointer).asText("");
      if (!piece.isEmpty()) {
        whole.append(piece);
        text.accept(piece);
      }
    }
    return whole.toString();
  }

  private static String error(JsonNode body, int status) {
    String message = body == null ? "" : body.at("/error/message").asText("");
    return "the server answered %d: %s".formatted(status, Texts.printable(message));
  }

  @Override
  public void close() {
    http.close();
  }
}
