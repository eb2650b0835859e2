package dev.tessera.server.cli;

import dev.tessera.server.cli.ChatClient.Message;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.List;
import org.jline.reader.EndOfFileException;
import org.jline.reader.LineReader;
import org.jline.reader.LineReaderBuilder;
import org.jline.reader.UserInterruptException;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/// `tessera chat`: a conversation in the terminal.
@Command(name = "chat", description = "Talks with a model in the terminal.")
final class ChatCommand extends ConfiguredCommand {
  @Mixin private final Asking asking = new Asking();

  @Override
  List<Option<?>> options() {
    return Options.LOCAL;
  }

  @Override
  int run(Configuration configuration) throws IOException, InterruptedException {
    return asking.with(
        configuration,
        client -> {
          try (Terminal terminal = TerminalBuilder.builder().system(true).dumb(true).build()) {
            converse(client, terminal);
          }
          return 0;
        });
  }

  private void converse(ChatClient client, Terminal terminal)
      throws IOException, InterruptedException {
    LineReader reader = LineReaderBuilder.builder().terminal(terminal).build();
    PrintWriter out = terminal.writer();
    out.println("Type a message; /new begins anew, /exit or Ctrl-D ends.");
    List<Message> messages = asking.conversation(null);
    while (true) {
      String line;
      try {
        line = reader.readLine("> ").strip();
      } catch (UserInterruptException | EndOfFileException e) {
        return;
      }
      switch (line) {
        case "" -> {}
        case "/exit" -> {
          return;
        }
        case "/new" -> messages = asking.conversation(null);
        default -> answer(client, out, messages, line);
      }
    }
  }

  private void answer(ChatClient client, PrintWriter out, List<Message> messages, String line)
      throws IOException, InterruptedException {
    messages.add(new Message("user", line));
    try {
      String answer =
          client.chat(
              messages,
              asking.wishes(),
              piece -> {
                out.print(piece);
                out.flush();
              });
      messages.add(new Message("assistant", answer));
      out.println();
    } catch (CommandFailure e) {
      messages.removeLast();
      out.println(e.getMessage());
    }
    out.flush();
  }
}
