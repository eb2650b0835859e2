package dev.tessera.server.cli;

import dev.tessera.server.http.Texts;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import java.util.logging.ConsoleHandler;
import java.util.logging.Formatter;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/// One line per message on standard error. What came from outside cannot forge a line: control
/// characters are written as escapes.
final class LogSetup {
  // Kept: the log manager holds its loggers weakly, and a level set on a collected one is lost.
  private static final Logger HELIDON = Logger.getLogger("io.helidon");

  private LogSetup() {}

  static void apply(String level) {
    Level threshold =
        switch (level) {
          case "debug" -> Level.FINE;
          case "warning" -> Level.WARNING;
          case "error" -> Level.SEVERE;
          default -> Level.INFO;
        };
    Logger root = Logger.getLogger("");
    for (Handler handler : root.getHandlers()) {
      root.removeHandler(handler);
    }
    Handler console = new ConsoleHandler();
    console.setFormatter(new LineFormatter());
    console.setLevel(threshold);
    root.addHandler(console);
    root.setLevel(threshold);
    // What Helidon says at "info" is about itself.
    HELIDON.setLevel(level.equals("debug") ? Level.FINE : Level.WARNING);
  }

  /// `12:34:56.789 WARNING message`, and a stack trace below where there is one.
  static final class LineFormatter extends Formatter {
    private static final DateTimeFormatter TIME =
        DateTimeFormatter.ofPattern("HH:mm:ss.SSS", Locale.ROOT).withZone(ZoneId.systemDefault());

    @Override
    public String format(LogRecord record) {
      StringBuilder line = new StringBuilder();
      line.append(TIME.format(record.getInstant()))
          .append(' ')
          .append(record.getLevel().getName())
          .append(' ')
          .append(Texts.printable(formatMessage(record)))
          .append(System.lineSeparator());
      Throwable thrown = record.getThrown();
      if (thrown != null) {
        var trace = new StringWriter();
        thrown.printStackTrace(new PrintWriter(trace));
        trace.toString().lines().forEach(l -> line.append(clean(l)).append(System.lineSeparator()));
      }
      return line.toString();
    }

    private static String clean(String line) {
      return Texts.printable(line.replace("\t", "    "));
    }
  }
}
