package dev.tessera.server.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/// `tessera run`: one prompt in, one answer out.
@Command(name = "run", description = "Answers one prompt on standard output.")
final class RunCommand extends ConfiguredCommand {
  @Mixin private final Asking asking = new Asking();

  @Parameters(
      arity = "0..1",
      paramLabel = "PROMPT",
      description = "What to answer; read from standard input where it is absent")
  private @Nullable String prompt;

  @picocli.CommandLine.Option(
      names = "--raw",
      description = "Continue the prompt as it is, without the chat template")
  private boolean raw;

  @Override
  List<Option<?>> options() {
    return Options.LOCAL;
  }

  @Override
  int run(Configuration configuration) throws IOException, InterruptedException {
    String text = prompt;
    if (text == null) {
      text = new String(System.in.readAllBytes(), StandardCharsets.UTF_8).strip();
    }
    if (text.isEmpty()) {
      throw CommandFailure.usage("no prompt, neither as an argument nor on standard input");
    }
    PrintWriter out = out();
    String asked = text;
    return asking.with(
        configuration,
        client -> {
          if (raw) {
            client.complete(asked, asking.wishes(), piece -> print(out, piece));
          } else {
            client.chat(asking.conversation(asked), asking.wishes(), piece -> print(out, piece));
          }
          print(out, System.lineSeparator());
          return 0;
        });
  }

  private static void print(PrintWriter out, String piece) {
    out.print(piece);
    if (out.checkError() || System.out.checkError()) { // the first flushes
      throw CommandFailure.failed("cannot write to standard output");
    }
  }
}
