package dev.tessera.server.bench;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.random.RandomGenerator;

/// How soon a server answers what costs nothing while it computes a long prompt: `/health`,
/// `/metrics`, and a client that leaves.
public final class ResponseProbe {
  /// Between two questions of one kind: often enough to meet every phase of a step.
  private static final int PAUSE_MILLIS = 7;

  private static final String RUNNING = "vllm:num_requests_running{";

  private final HttpProbe server;

  public ResponseProbe(HttpProbe server) {
    this.server = server;
  }

  /// Milliseconds from question to answer, ascending; of a cancel, from the client's leaving to the
  /// first `/metrics` that no longer counts its request.
  public record Latencies(double[] health, double[] metrics, double[] cancel, double seconds) {

    /// The share `p` of the values is at most this.
    public static double quantile(double[] ascending, double p) {
      int index = (int) Math.ceil(p * ascending.length) - 1;
      return ascending.length == 0 ? Double.NaN : ascending[Math.max(0, index)];
    }
  }

  /// Asks for as long as one prompt of `promptTokens` tokens takes.
  public Latencies run(int promptTokens, RandomGenerator random) throws Exception {
    int[] prompt = random.ints(promptTokens, 0, server.vocabulary()).toArray();
    var prefill = new FutureTask<>(() -> server.generate(prompt, 1));
    Thread thread = Thread.ofPlatform().name("bench-prefill").start(prefill);
    List<Double> health = new ArrayList<>();
    List<Double> metrics = new ArrayList<>();
    List<Double> cancels = new ArrayList<>();
    long start = System.nanoTime();
    try (PlainConnection asking = server.connect()) {
      while (running(asking) < 1 && !prefill.isDone()) {
        Thread.sleep(1);
      }
      for (int i = 0; !prefill.isDone(); i++) {
        health.add(millis(asking, "/health"));
        Thread.sleep(PAUSE_MILLIS);
        metrics.add(millis(asking, "/metrics"));
        Thread.sleep(PAUSE_MILLIS);
        if (i % 10 == 9 && !prefill.isDone()) {
          double cancel = cancel(asking, random);
          if (!prefill.isDone()) { // else its leaving is not the only one
            cancels.add(cancel);
          }
        }
      }
    }
    try {
      prefill.get();
    } catch (ExecutionException e) {
      throw e.getCause() instanceof Exception cause ? cause : e;
    }
    thread.join();
    return new Latencies(
        sorted(health), sorted(metrics), sorted(cancels), (System.nanoTime() - start) / 1e9);
  }

  private static double[] sorted(List<Double> values) {
    return values.stream().mapToDouble(Double::doubleValue).sorted().toArray();
  }

  private static double millis(PlainConnection connection, String path) throws IOException {
    long start = System.nanoTime();
    int status = connection.send("GET", path, null);
    connection.rest();
    if (status != 200) {
      throw new IOException(path + " answers " + status);
    }
    return (System.nanoTime() - start) / 1e6;
  }

  /// Begins a stream beside the prompt, and leaves when its first token is there.
  private double cancel(PlainConnection asking, RandomGenerator random) throws Exception {
    int before = running(asking);
    int[] prompt = random.ints(16, 0, server.vocabulary()).toArray();
    long left;
    try (PlainConnection leaving = server.connect()) {
      leaving.send("POST", "/v1/completions", HttpProbe.body(prompt, 512));
      leaving.line();
      left = System.nanoTime();
    }
    while (running(asking) > before) {
      Thread.sleep(1);
    }
    return (System.nanoTime() - left) / 1e6;
  }

  private static int running(PlainConnection connection) throws IOException {
    if (connection.send("GET", "/metrics", null) != 200) {
      throw new IOException("/metrics is not there (has the server a management port?)");
    }
    return Arrays.stream(connection.rest().split("\n"))
        .filter(line -> line.startsWith(RUNNING))
        .mapToInt(line -> (int) Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .findFirst()
        .orElse(0);
  }
}
