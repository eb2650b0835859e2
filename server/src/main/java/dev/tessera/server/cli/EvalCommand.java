package dev.tessera.server.cli;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.BackendUnavailableException;
import dev.tessera.kernels.Backends;
import dev.tessera.models.Model;
import dev.tessera.models.ModelFormatException;
import dev.tessera.models.Models;
import dev.tessera.server.eval.EvaluationReport;
import dev.tessera.server.eval.PolicyComparison;
import dev.tessera.server.eval.PolicyResult;
import dev.tessera.server.http.Texts;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;

/// `tessera eval`: what cache policies cost in quality, and save in memory.
@Command(
    name = "eval",
    description = "Compares what a model predicts over compressed tiles with exact ones.")
final class EvalCommand extends ConfiguredCommand {

  @picocli.CommandLine.Option(
      names = "--policy",
      paramLabel = "POLICY",
      description =
          "A cache policy to measure; may be repeated (default: i8 in both, and the presets)")
  private List<String> policies = List.of("i8", "near-lossless", "balanced", "small");

  @picocli.CommandLine.Option(
      names = "--tokens",
      paramLabel = "COUNT",
      defaultValue = "2048",
      description = "Tokens of the prose; half as many of code, and of tables (${DEFAULT-VALUE})")
  private int tokens;

  @picocli.CommandLine.Option(
      names = "--seeds",
      paramLabel = "COUNT",
      defaultValue = "5",
      description = "Texts in which 40 facts are to be found again (${DEFAULT-VALUE})")
  private int seeds;

  @picocli.CommandLine.Option(names = "--tables", description = "Read tables too")
  private boolean tables;

  @picocli.CommandLine.Option(
      names = "--whole",
      description =
          "Measure the whole protocol: the noise floor, frozen mode, scores, pass keys and a list,"
              + " drift, and a sequence that moves to another session")
  private boolean whole;

  @picocli.CommandLine.Option(
      names = "--prompts",
      paramLabel = "COUNT",
      defaultValue = "8",
      description =
          "Texts that the model goes on with by itself, 256 tokens each, in the whole protocol"
              + " (${DEFAULT-VALUE})")
  private int prompts;

  @picocli.CommandLine.Option(
      names = "--as-served",
      description =
          "Keep quantised weights as they are. Activations of eight bits then add a noise that"
              + " hides small differences")
  private boolean asServed;

  @picocli.CommandLine.Option(
      names = "--json",
      paramLabel = "FILE",
      description = "Write the figures there too")
  private @Nullable Path json;

  @picocli.CommandLine.Option(
      names = "--svg",
      paramLabel = "FILE",
      description = "Draw divergence over bits there")
  private @Nullable Path svg;

  @Override
  List<Option<?>> options() {
    return Options.LOCAL;
  }

  @Override
  int run(Configuration configuration) throws Exception {
    if (tokens < PolicyComparison.LEAST_TOKENS) {
      throw CommandFailure.usage(
          "--tokens must be at least %d, is %d".formatted(PolicyComparison.LEAST_TOKENS, tokens));
    }
    if (seeds < 0 || seeds > PolicyComparison.MOST_SEEDS) {
      throw CommandFailure.usage(
          "--seeds must be from 0 to %d, is %d".formatted(PolicyComparison.MOST_SEEDS, seeds));
    }
    if (prompts < 1 || prompts > PolicyComparison.MOST_PROMPTS) {
      throw CommandFailure.usage(
          "--prompts must be from 1 to %d, is %d"
              .formatted(PolicyComparison.MOST_PROMPTS, prompts));
    }
    try {
      PolicyComparison.require(policies);
    } catch (IllegalArgumentException e) {
      throw CommandFailure.usage(Texts.printable("--policy: " + e.getMessage()));
    }
    try (var progress = new Progress()) {
      Backends.Choice choice = LoadedEngine.choose(configuration);
      Path path = LoadedEngine.obtain(configuration, progress);
      try (Backend backend = choice.backend();
          Model model = Models.open(path)) {
        compare(backend, model, path, progress);
      }
    } catch (IOException
        | ModelFormatException
        | BackendUnavailableException
        | UnsupportedOperationException
        | IllegalArgumentException e) {
      throw CommandFailure.failed(Texts.printable(String.valueOf(e.getMessage())));
    }
    return 0;
  }

  private void compare(Backend backend, Model model, Path path, Progress progress)
      throws IOException {
    PrintWriter out = out();
    int context = model.spec().maxPositions();
    var comparison =
        new PolicyComparison(
            backend,
            model,
            new PolicyComparison.Size(tokens, tables, seeds, whole, prompts),
            !asServed,
            policy -> KeyLearning.of(policy, backend, model, path, context, progress),
            budget ->
                KeyLearning.policy(budget, backend, model, path, context, progress, out::println));
    out.println(comparison.title());
    out.println(EvaluationReport.HEADER);
    out.flush();
    EvaluationReport report =
        comparison.run(
            policies,
            progress::share,
            result -> {
              out.println(EvaluationReport.line(result));
              out.flush();
            });
    if (whole) {
      out.println();
      out.println(EvaluationReport.DEEPER_HEADER);
      for (PolicyResult result : report.results()) {
        if (result.deeper() != null) {
          out.println(EvaluationReport.deeperLine(result, result.deeper()));
        }
      }
      out.flush();
    }
    if (json != null) {
      Files.writeString(json, report.json());
    }
    if (svg != null) {
      Files.writeString(svg, report.svg());
    }
  }
}
