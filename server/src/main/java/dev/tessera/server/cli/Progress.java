package dev.tessera.server.cli;

import java.util.function.DoubleConsumer;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.jspecify.annotations.Nullable;

/// Shows how far long work is, on a terminal; says nothing where nobody looks.
final class Progress implements AutoCloseable {
  private static final long STEPS = 1000;
  private static final int WIDTH = 80;

  private final boolean shown;
  private @Nullable ProgressBar bar;
  private String task = "";
  private String done = "";

  @SuppressWarnings("SystemConsoleNull") // it is, where the console module is not in the image
  Progress() {
    var console = System.console();
    this.shown = console != null && console.isTerminal();
  }

  /// Bytes of a download; a total below 0 is not known.
  void download(String what, long done, long total) {
    ProgressBar current = start(what, Math.max(total, 0), true);
    if (current != null) {
      current.maxHint(total);
      current.stepTo(done);
    }
  }

  /// The share of a task that is done, from 0 to 1.
  DoubleConsumer share(String what) {
    return share -> {
      if (done.equals(what)) {
        return;
      }
      ProgressBar current = start(what, STEPS, false);
      if (current != null) {
        current.stepTo((long) (Math.clamp(share, 0, 1) * STEPS));
      }
      if (share >= 1) {
        done = what;
        close(); // what is logged next has the line for itself
      }
    };
  }

  private @Nullable ProgressBar start(String what, long total, boolean bytes) {
    if (!shown) {
      return null;
    }
    if (bar == null || !task.equals(what)) {
      close();
      task = what;
      var builder =
          new ProgressBarBuilder()
              .setTaskName(what)
              .setInitialMax(total)
              .setUpdateIntervalMillis(100)
              // Not the library's choice of consumer, which takes the terminal for itself: `chat`
              // needs
              // it, with its signals.
              .setConsumer(new ConsoleProgressBarConsumer(System.err, WIDTH))
              .clearDisplayOnFinish()
              .hideEta()
              .setStyle(ProgressBarStyle.COLORFUL_UNICODE_BLOCK);
      if (bytes) {
        builder.setUnit(" MiB", 1L << 20).showSpeed();
      }
      bar = builder.build();
    }
    return bar;
  }

  @Override
  public void close() {
    if (bar != null) {
      bar.close();
      bar = null;
    }
  }
}
