package dev.tessera.server.cli;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.Spec;

/// A command that reads the configuration: its flags are those of the [Options] that it lists.
@Command(
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    sortOptions = false,
    usageHelpAutoWidth = true)
abstract class ConfiguredCommand implements Callable<Integer> {
  @Spec private CommandSpec spec = CommandSpec.create();

  @Option(
      names = "--config",
      paramLabel = "FILE",
      description = "Configuration file; config/application.yaml documents every key")
  private @Nullable Path file;

  /// The options whose flags this command takes.
  abstract List<dev.tessera.server.cli.Option<?>> options();

  /// What is logged where nobody says: a command with an answer of its own leaves the stage to it.
  String usualLogLevel() {
    return "warning";
  }

  /// Does the work.
  ///
  /// @return the exit code
  abstract int run(Configuration configuration) throws Exception;

  final void addOptions(CommandSpec target) {
    for (var option : options()) {
      if (option.flag().isEmpty()) {
        continue;
      }
      String absent = option.absent();
      var builder =
          OptionSpec.builder(option.flag())
              .paramLabel(option.label())
              .type(String.class)
              .description(
                  option.description() + (absent.isEmpty() ? "" : " (default: " + absent + ")"));
      if (option.takesList()) {
        // In one value with commas, or by repeating the flag.
        builder.type(List.class).auxiliaryTypes(String.class);
      }
      target.addOption(builder.build());
    }
  }

  @Override
  public final Integer call() throws Exception {
    Path chosen = file;
    if (chosen == null) {
      String named = System.getenv("TESSERA_CONFIG");
      chosen =
          named == null || named.isBlank()
              ? Configuration.defaultFile(System.getProperty("tessera.home"))
              : Path.of(named);
    }
    var configuration = Configuration.of(flags(), System.getenv(), chosen);
    LogSetup.apply(
        configuration.isSet(Options.LOG_LEVEL)
            ? configuration.get(Options.LOG_LEVEL)
            : usualLogLevel());
    return run(configuration);
  }

  private Map<String, String> flags() {
    Map<String, String> values = new HashMap<>();
    ParseResult result = spec.commandLine().getParseResult();
    for (var option : options()) {
      if (!option.flag().isEmpty() && result.hasMatchedOption(option.flag())) {
        Object given = result.matchedOptionValue(option.flag(), "");
        values.put(
            option.flag(),
            given instanceof List<?> list
                ? String.join(",", list.stream().map(String::valueOf).toList())
                : given.toString());
      }
    }
    return values;
  }

  /// Where a command writes its results.
  final java.io.PrintWriter out() {
    return spec.commandLine().getOut();
  }
}
