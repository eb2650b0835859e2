package dev.tessera.server.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.tessera.server.bench.EngineProbe;
import dev.tessera.server.bench.HttpProbe;
import dev.tessera.server.bench.Probe;
import dev.tessera.server.bench.Workload;
import dev.tessera.server.http.Texts;
import java.io.IOException;
import java.io.PrintWriter;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;

/// `tessera bench`: how fast this machine is, with and without HTTP.
@Command(name = "bench", description = "Measures prefill, decode, 32 streams and long contexts.")
final class BenchCommand extends ConfiguredCommand {
  private static final JsonMapper JSON = new JsonMapper();

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
      try (var probe = new HttpProbe(base, key)) {
        report(base, List.of(new Column("http", probe)));
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
        report(title, List.of(new Column("engine", engine)));
        return 0;
      }
      try (var probe = new HttpProbe(server.url(), server.key())) {
        report(title, List.of(new Column("engine", engine), new Column("http", probe)));
      }
    }
    return 0;
  }

  private void report(String title, List<Column> columns) throws Exception {
    PrintWriter out = out();
    boolean table = !"-".equals(json);
    ObjectNode root = JSON.createObjectNode();
    root.put("title", title);
    root.put("rounds", rounds);
    ArrayNode results = root.putArray("results");
    if (table) {
      out.println(title);
      out.printf("%-20s", "");
      columns.forEach(column -> out.printf("%12s", column.name()));
      out.println();
    }
    var random = new SplittableRandom(System.nanoTime());
    int context = columns.getFirst().probe().contextTokens();
    warmUp(columns, random);
    for (Workload workload : Workload.usual(context)) {
      double[] medians = measure(workload, columns, random);
      if (table) {
        out.printf("%-20s", workload.name());
        for (double median : medians) {
          out.printf("%12.2f", median);
        }
        out.println(" " + workload.measure().unit());
        out.flush();
      }
      ObjectNode result = results.addObject();
      result.put("name", workload.name());
      result.put("unit", workload.measure().unit());
      for (int i = 0; i < medians.length; i++) {
        result.put(columns.get(i).name(), medians[i]);
      }
    }
    root.put("client_cpu_seconds", cpuSeconds());
    write(root, out);
  }

  private static void warmUp(List<Column> columns, SplittableRandom random) throws Exception {
    var workload = new Workload("warm-up", 2, 64, 16, Workload.Measure.DECODE);
    for (Column column : columns) {
      workload.run(column.probe(), random);
    }
  }

  /// The columns take turns in every round: what disturbs the machine disturbs all of them.
  private double[] measure(Workload workload, List<Column> columns, SplittableRandom random)
      throws Exception {
    List<List<Double>> values = new ArrayList<>();
    columns.forEach(column -> values.add(new ArrayList<>()));
    for (int round = 0; round < rounds; round++) {
      for (int i = 0; i < columns.size(); i++) {
        values.get(i).add(workload.run(columns.get(i).probe(), random));
      }
    }
    return values.stream()
        .mapToDouble(v -> v.stream().sorted().toList().get(v.size() / 2))
        .toArray();
  }

  /// Processor time of this process: with `--url` that of the client alone.
  private static double cpuSeconds() {
    return ManagementFactory.getOperatingSystemMXBean()
            instanceof com.sun.management.OperatingSystemMXBean bean
        ? bean.getProcessCpuTime() / 1e9
        : 0;
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
