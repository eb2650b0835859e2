package dev.tessera.server.bench;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.net.URI;
import java.util.Arrays;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;

/// A server, over HTTP, as its clients see it: a streamed completion of token ids, each on a
/// connection and a thread of its own.
public final class HttpProbe implements Probe {
  private static final JsonMapper JSON = new JsonMapper();
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  private final URI base;
  private final @Nullable String apiKey;
  private final int contextTokens;
  private final int vocabulary;
  private final LongAdder cpuNanos = new LongAdder();

  /// @param base scheme, host and port, without `/v1`
  /// @throws IOException if no server answers there, or not as an OpenAI-compatible one does
  public HttpProbe(String base, @Nullable String apiKey) throws IOException {
    this.base = URI.create(base);
    this.apiKey = apiKey;
    try (PlainConnection connection = connect()) {
      int status = connection.send("GET", "/v1/models", null);
      if (status == 401) {
        throw new IOException("it wants a key (--url-key)");
      }
      JsonNode model;
      try {
        model = JSON.readTree(connection.rest()).at("/data/0");
      } catch (JsonProcessingException e) {
        throw new IOException(
            "it answers %d, and not as an OpenAI-compatible server does".formatted(status), e);
      }
      this.contextTokens = model.at("/max_model_len").asInt(2048);
      this.vocabulary = model.at("/meta/n_vocab").asInt(32_000);
    }
  }

  PlainConnection connect() throws IOException {
    return new PlainConnection(base, apiKey);
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
  public long clientCpuNanos() {
    return cpuNanos.sum();
  }

  /// A request for `newTokens` tokens after a prompt, streamed with a chunk for each.
  static byte[] body(int[] prompt, int newTokens) throws IOException {
    ObjectNode body = JSON.createObjectNode();
    var ids = body.putArray("prompt");
    Arrays.stream(prompt).forEach(ids::add);
    body.put("max_tokens", newTokens);
    body.put("temperature", 0);
    body.put("ignore_eos", true);
    body.put("stream", true);
    body.put("return_token_ids", true); // a chunk per token, also within a character
    return JSON.writeValueAsBytes(body);
  }

  @Override
  public long[] generate(int[] prompt, int newTokens) throws IOException {
    byte[] body = body(prompt, newTokens);
    long[] times = new long[1 + newTokens];
    times[0] = System.nanoTime();
    long cpu = THREADS.getCurrentThreadCpuTime();
    try (PlainConnection connection = connect()) {
      int status = connection.send("POST", "/v1/completions", body);
      if (status != 200) {
        throw new IOException("status " + status + ": " + connection.rest());
      }
      int count = 1;
      for (String line = connection.line(); line != null; line = connection.line()) {
        if (count <= newTokens && line.contains("\"token_ids\":[")) {
          times[count++] = System.nanoTime();
        }
      }
      return Arrays.copyOf(times, count);
    } finally {
      cpuNanos.add(THREADS.getCurrentThreadCpuTime() - cpu);
    }
  }
}
