package dev.tessera.server.bench;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
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
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// A server, over HTTP, as its clients see it: a streamed completion of token ids.
public final class HttpProbe implements Probe, AutoCloseable {
  private static final JsonMapper JSON = new JsonMapper();

  private final HttpClient http =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  private final String base;
  private final @Nullable String apiKey;
  private final int contextTokens;
  private final int vocabulary;

  /// @param base without `/v1`
  public HttpProbe(String base, @Nullable String apiKey) throws IOException, InterruptedException {
    this.base = base;
    this.apiKey = apiKey;
    HttpResponse<String> response =
        http.send(request("/v1/models").GET().build(), HttpResponse.BodyHandlers.ofString());
    if (response.statusCode() == 401) {
      throw new IOException("it wants a key (--url-key)");
    }
    JsonNode model;
    try {
      model = JSON.readTree(response.body()).at("/data/0");
    } catch (JsonProcessingException e) {
      throw new IOException(
          "it answers %d, and not as an OpenAI-compatible server does"
              .formatted(response.statusCode()),
          e);
    }
    this.contextTokens = model.at("/max_model_len").asInt(2048);
    this.vocabulary = model.at("/meta/n_vocab").asInt(32_000);
  }

  private HttpRequest.Builder request(String path) {
    var request = HttpRequest.newBuilder(URI.create(base + path)).timeout(Duration.ofMinutes(10));
    if (apiKey != null) {
      request.header("Authorization", "Bearer " + apiKey);
    }
    return request;
  }

  @Override
  public int contextTokens() {
    return contextTokens;
  }

  @Override
  public int vocabulary() {
    return vocabulary;
  }

  @Override
  public long[] generate(int[] prompt, int newTokens) throws IOException, InterruptedException {
    ObjectNode body = JSON.createObjectNode();
    var ids = body.putArray("prompt");
    Arrays.stream(prompt).forEach(ids::add);
    body.put("max_tokens", newTokens);
    body.put("temperature", 0);
    body.put("ignore_eos", true);
    body.put("stream", true);
    body.put("return_token_ids", true); // a chunk per token, also within a character
    byte[] bytes = JSON.writeValueAsBytes(body);
    long[] times = new long[1 + newTokens];
    times[0] = System.nanoTime();
    HttpResponse<InputStream> response =
        http.send(
            request("/v1/completions")
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofByteArray(bytes))
                .build(),
            HttpResponse.BodyHandlers.ofInputStream());
    try (var lines =
        new BufferedReader(new InputStreamReader(response.body(), StandardCharsets.UTF_8))) {
      if (response.statusCode() != 200) {
        throw new IOException("status " + response.statusCode() + ": " + lines.readLine());
      }
      int count = 1;
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (count <= newTokens && line.startsWith("data:") && line.contains("\"token_ids\"")) {
          times[count++] = System.nanoTime();
        }
      }
      return Arrays.copyOf(times, count);
    }
  }

  @Override
  public void close() {
    http.close();
  }
}
