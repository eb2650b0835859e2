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

  private void converse(ChatClient client, Terminal terminal) {
    LineReader reader = LineReaderBuilder.builder().terminal(terminal).build();
    PrintWriter out = terminal.writer();
    out.println("Type a message; /new begins anew, Ctrl-C stops an answer, /exit or Ctrl-D ends.");
    List<Message> messages = asking.conversation(null);
    while (true) {
      String line;
      try {
        line = reader.readLine("> ").strip();
      } catch (UserInterruptException e) {
        if (e.getPartialLine().isBlank()) {
          return;
        }
        continue; // the line was given up, not the conversation
      } catch (EndOfFileException e) {
        return;
      }
      switch (line) {
        case "" -> {}
        case "/exit" -> {
          return;
        }
        case "/new" -> messages = asking.conversation(null);
        default -> answer(client, terminal, messages, line);
      }
    }
  }

  /// Asks, and prints the answer as it comes. Ctrl-C ends the answer; what was said until then
  /// stays in the conversation.
  private void answer(ChatClient client, Terminal terminal, List<Message> messages, String line) {
    PrintWriter out = terminal.writer();
    var said = new StringBuilder();
    Thread self = Thread.currentThread();
    Terminal.SignalHandler before =
        terminal.handle(Terminal.Signal.INT, signal -> self.interrupt());
    messages.add(new Message("user", line));
    try {
      client.chat(
          messages,
          asking.wishes(),
          piece -> {
            said.append(piece);
            out.print(piece);
            out.flush();
          });
      out.println();
    } catch (InterruptedException e) {
      out.println(said.isEmpty() ? "(stopped)" : " (stopped)");
    } catch (CommandFailure e) {
      out.println(e.getMessage());
    } finally {
      terminal.handle(Terminal.Signal.INT, before);
    }
    if (said.isEmpty()) {
      messages.removeLast();
    } else {
      messages.add(new Message("assistant", said.toString()));
    }
    out.flush();
  }
}
