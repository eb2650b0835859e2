package dev.tessera.server.cli;

import java.io.PrintWriter;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/// The entry point of the command line. Exit codes: 0 done, 1 failed, 2 wrong use.
@Command(
    name = "tessera",
    description = "Serves language models over the OpenAI API, on this machine.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      ServeCommand.class,
      ChatCommand.class,
      RunCommand.class,
      ModelsCommand.class,
      BenchCommand.class,
      EvalCommand.class
    })
public final class Main implements Runnable {
  @CommandLine.Spec private CommandSpec spec = CommandSpec.create();

  public static void main(String[] arguments) {
    System.exit(commandLine().execute(arguments));
  }

  static CommandLine commandLine() {
    CommandLine line = new CommandLine(new Main());
    for (CommandLine command : line.getSubcommands().values()) {
      if (command.getCommand() instanceof ConfiguredCommand configured) {
        configured.addOptions(command.getCommandSpec());
      }
    }
    line.setExecutionExceptionHandler(
        (failure, command, result) -> fail(command.getErr(), failure));
    line.setParameterExceptionHandler(Main::misused);
    return line;
  }

  private static int fail(PrintWriter err, Exception failure) throws Exception {
    if (failure instanceof CommandFailure expected) {
      err.println("tessera: " + expected.getMessage());
      return expected.exitCode();
    }
    throw failure;
  }

  private static int misused(ParameterException failure, String[] arguments) {
    PrintWriter err = failure.getCommandLine().getErr();
    err.println("tessera: " + failure.getMessage());
    if (!CommandLine.UnmatchedArgumentException.printSuggestions(failure, err)) {
      err.println(
          "Try '" + failure.getCommandLine().getCommandSpec().qualifiedName() + " --help'.");
    }
    return 2;
  }

  /// Without a command: what there is.
  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "which command?");
  }
}
