package dev.tessera.server.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadFactory;
import java.util.random.RandomGenerator;

/// Requests of one shape, all at once, with prompts that no cache has seen.
///
/// @param name for the table
/// @param streams requests at the same time
/// @param measure which of its times is the result
public record Workload(String name, int streams, int promptTokens, int newTokens, Measure measure) {

  // Platform threads: their processor time can be told, and the server's virtual ones are not
  // theirs.
  private static final ThreadFactory CLIENTS =
      Thread.ofPlatform().name("bench-client-", 0).factory();

  /// What a workload is about.
  public enum Measure {
    /// Prompt tokens per second until the first token.
    PREFILL("tok/s"),
    /// New tokens per second while every stream decodes.
    DECODE("tok/s"),
    /// Seconds until the first token.
    FIRST_TOKEN("s");

    private final String unit;

    Measure(String unit) {
      this.unit = unit;
    }

    public String unit() {
      return unit;
    }
  }

  /// The usual ones, as far as they fit into a context window.
  public static List<Workload> usual(int contextTokens) {
    List<Workload> all =
        List.of(
            new Workload("pp512", 1, 512, 1, Measure.PREFILL),
            new Workload("tg128", 1, 16, 128, Measure.DECODE),
            // Long enough that the first stream still runs when the last one has begun.
            new Workload("32 streams", 32, 32, 160, Measure.DECODE),
            new Workload("first token of 4k", 1, 4096, 1, Measure.FIRST_TOKEN),
            new Workload("tg64 at 7k", 1, 7168, 64, Measure.DECODE));
    return all.stream().filter(w -> w.promptTokens + w.newTokens <= contextTokens).toList();
  }

  /// Runs it once.
  ///
  /// @return the measure's value
  public double run(Probe probe, RandomGenerator random) throws Exception {
    List<long[]> times = new ArrayList<>();
    try (ExecutorService threads = Executors.newThreadPerTaskExecutor(CLIENTS)) {
      List<Callable<long[]>> requests = new ArrayList<>();
      for (int i = 0; i < streams; i++) {
        int[] prompt = random.ints(promptTokens, 0, probe.vocabulary()).toArray();
        requests.add(() -> probe.generate(prompt, newTokens));
      }
      for (Future<long[]> future : threads.invokeAll(requests)) {
        times.add(future.get());
      }
    } catch (ExecutionException e) {
      throw e.getCause() instanceof Exception cause ? cause : e;
    }
    return switch (measure) {
      case PREFILL -> promptTokens / firstToken(times.getFirst());
      case FIRST_TOKEN -> firstToken(times.getFirst());
      case DECODE -> decodeRate(times);
    };
  }

  private static double firstToken(long[] times) {
    return (times[1] - times[0]) / 1e9;
  }

  /// Tokens per second from the moment when the last stream has its first token to the moment when
  /// the first stream has its last.
  static double decodeRate(List<long[]> times) {
    long begin = times.stream().mapToLong(t -> t[1]).max().orElseThrow();
    long end = times.stream().mapToLong(t -> t[t.length - 1]).min().orElseThrow();
    long tokens =
        times.stream()
            .flatMapToLong(Arrays::stream)
            .filter(time -> time > begin && time <= end)
            .count();
    return end > begin ? tokens / ((end - begin) / 1e9) : 0;
  }
}
