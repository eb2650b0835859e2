package dev.tessera.server.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.tessera.server.bench.EngineProbe;
import dev.tessera.server.bench.HttpProbe;
import dev.tessera.server.bench.Probe;
import dev.tessera.server.bench.ResponseProbe;
import dev.tessera.server.bench.Workload;
import dev.tessera.server.http.Texts;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;

/// `tessera bench`: how fast this machine is, with and without HTTP.
@Command(name = "bench", description = "Measures prefill, decode, 32 streams and long contexts.")
final class BenchCommand extends ConfiguredCommand {
  private static final JsonMapper JSON = new JsonMapper();

  /// Long enough that a server which starves its other clients shows it.
  private static final int LONG_PROMPT = 7168;

  /// A round of a workload that is sooner done is the average of several.
  private static final long LEAST_NANOS = 2_000_000_000L;

  @picocli.CommandLine.Option(
      names = "--http",
      description = "Measure over HTTP, with a server in this process, beside the engine alone")
  private boolean http;

  @picocli.CommandLine.Option(
      names = "--url",
      paramLabel = "URL",
      description = "Measure a running server instead")
  private @Nullable String url;

  @picocli.CommandLine.Option(names = "--url-key", paramLabel = "KEY", description = "Its API key")
  private @Nullable String key;

  @picocli.CommandLine.Option(
      names = "--rounds",
      paramLabel = "COUNT",
      defaultValue = "3",
      description = "Rounds; the median counts (default: ${DEFAULT-VALUE})")
  private int rounds;

  @picocli.CommandLine.Option(
      names = "--json",
      paramLabel = "FILE",
      description = "Write the figures there too; '-' for standard output instead of the table")
  private @Nullable String json;

  private boolean table = true;

  /// One way to the tokens, and what was measured on it.
  private record Column(String name, Probe probe) {}

  @Override
  List<Option<?>> options() {
    return Options.LOCAL;
  }

  @Override
  int run(Configuration configuration) throws Exception {
    if (rounds < 1) {
      throw CommandFailure.usage("--rounds must be at least 1, is " + rounds);
    }
    if (url != null) {
      String base = ServerUrl.base(url);
      try {
        var probe = new HttpProbe(base, key);
        report(base, List.of(new Column("http", probe)), probe);
      } catch (java.net.ConnectException e) {
        throw CommandFailure.failed("no server answers at " + base);
      } catch (IOException e) {
        throw CommandFailure.failed(
            "the server at %s: %s"
                .formatted(base, Texts.printable(String.valueOf(e.getMessage()))));
      }
      return 0;
    }
    try (LocalServer server = LocalServer.start(configuration)) {
      LoadedEngine loaded = server.engine();
      var engine = new EngineProbe(loaded.engine(), loaded.model().tokenizer().vocabularySize());
      String title =
          "%s (%s) on %s"
              .formatted(loaded.model().name(), loaded.model().description(), loaded.backendName());
      if (!http) {
        report(title, List.of(new Column("engine", engine)), null);
        return 0;
      }
      var probe = new HttpProbe(server.url(), server.key());
      report(title, List.of(new Column("engine", engine), new Column("http", probe)), probe);
    }
    return 0;
  }

  /// @param server to be asked while it computes a long prompt, or null
  private void report(String title, List<Column> columns, @Nullable HttpProbe server)
      throws Exception {
    PrintWriter out = out();
    table = !"-".equals(json);
    ObjectNode root = JSON.createObjectNode();
    root.put("title", title);
    root.put("rounds", rounds);
    ArrayNode results = root.putArray("results");
    if (table) {
      out.println(title);
      out.printf("%-20s", "");
      columns.forEach(column -> out.printf("%12s", column.name()));
      out.println(columns.size() > 1 ? "        http/engine (lowest to highest)" : "");
      out.flush();
    }
    var random = new SplittableRandom(System.nanoTime());
    int context = columns.getFirst().probe().contextTokens();
    warmUp(columns, random);
    for (Workload workload : Workload.usual(context)) {
      measure(workload, columns, random, results.addObject());
    }
    int prompt = Math.min(LONG_PROMPT, context - 1);
    if (server != null) {
      answers(new ResponseProbe(server), prompt, random, root.putObject("answers"));
    }
    write(root, out);
  }

  private static void warmUp(List<Column> columns, SplittableRandom random) throws Exception {
    // Thousands of tokens: a server that has run for a minute is compiled, and ours is to be.
    var workload = new Workload("warm-up", 32, 32, 160, Workload.Measure.DECODE);
    for (Column column : columns) {
      workload.run(column.probe(), random);
    }
  }

  /// The columns take turns in every round: what disturbs the machine disturbs all of them. Medians
  /// count; how much the second column loses is the median of the rounds' own ratios.
  private void measure(
      Workload workload, List<Column> columns, SplittableRandom random, ObjectNode result)
      throws Exception {
    double[][] values = new double[columns.size()][rounds]; // [columns][rounds]
    double[] clientShare = new double[columns.size()]; // of the processor time of a round's wall
    for (int round = 0; round < rounds; round++) {
      for (int i = 0; i < columns.size(); i++) {
        Probe probe = columns.get(i).probe();
        long cpu = probe.clientCpuNanos();
        long start = System.nanoTime();
        values[i][round] = average(workload, probe, random);
        clientShare[i] +=
            (double) (probe.clientCpuNanos() - cpu) / (System.nanoTime() - start) / rounds;
      }
    }
    PrintWriter out = out();
    result.put("name", workload.name());
    result.put("unit", workload.measure().unit());
    say("%-20s".formatted(workload.name()));
    for (int i = 0; i < columns.size(); i++) {
      result.put(columns.get(i).name(), median(values[i]));
      say("%12.2f".formatted(median(values[i])));
    }
    say(" %-6s".formatted(workload.measure().unit()));
    if (columns.size() > 1) {
      double[] ratios = new double[rounds];
      for (int round = 0; round < rounds; round++) {
        ratios[round] = values[1][round] / values[0][round];
      }
      Arrays.sort(ratios);
      result.put("ratio", median(ratios));
      say(" %.3f (%.3f to %.3f)".formatted(median(ratios), ratios[0], ratios[rounds - 1]));
    }
    double client = clientShare[columns.size() - 1];
    if (client > 0) {
      result.put("client_cpu_share", client);
      say("  client: %.1f %% of a core".formatted(100 * client));
    }
    say(System.lineSeparator());
    out.flush();
  }

  /// The average over requests that together take a while.
  private static double average(Workload workload, Probe probe, SplittableRandom random)
      throws Exception {
    double sum = 0;
    int runs = 0;
    long start = System.nanoTime();
    do {
      sum += workload.run(probe, random);
      runs++;
    } while (System.nanoTime() - start < LEAST_NANOS);
    return sum / runs;
  }

  private static double median(double[] values) {
    double[] ascending = values.clone();
    Arrays.sort(ascending);
    return ascending[ascending.length / 2];
  }

  private void answers(
      ResponseProbe probe, int promptTokens, SplittableRandom random, ObjectNode result)
      throws Exception {
    ResponseProbe.Latencies latencies = probe.run(promptTokens, random);
    result.put("prompt_tokens", promptTokens);
    result.put("prefill_seconds", latencies.seconds());
    say(
        "while a prompt of %,d tokens is computed (%.1f s):%n"
            .formatted(promptTokens, latencies.seconds()));
    answer("/health", latencies.health(), result);
    answer("/metrics", latencies.metrics(), result);
    answer("cancel", latencies.cancel(), result);
    out().flush();
  }

  private void answer(String name, double[] millis, ObjectNode result) {
    double median = ResponseProbe.Latencies.quantile(millis, 0.5);
    double p99 = ResponseProbe.Latencies.quantile(millis, 0.99);
    double max = ResponseProbe.Latencies.quantile(millis, 1);
    result.putObject(name).put("count", millis.length).put("p50_ms", median).put("p99_ms", p99);
    say(
        "%-20s%12.1f ms median%10.1f ms p99%10.1f ms at most, of %d%n"
            .formatted(name, median, p99, max, millis.length));
  }

  /// Part of the table, where there is one.
  private void say(String text) {
    if (table) {
      out().print(text);
    }
  }

  private void write(ObjectNode root, PrintWriter out) throws IOException {
    if (json == null) {
      return;
    }
    String text = root.toPrettyString();
    if (json.equals("-")) {
      out.println(text);
    } else {
      Files.writeString(Path.of(json), text);
    }
    out.flush();
  }
}
