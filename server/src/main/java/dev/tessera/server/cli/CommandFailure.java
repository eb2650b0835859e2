package dev.tessera.server.cli;

import java.io.Serial;

/// Ends a command with one line for a person and an exit code: 2 for wrong use, 1 for what failed.
final class CommandFailure extends RuntimeException {
  @Serial private static final long serialVersionUID = 1;
  private final int exitCode;

  private CommandFailure(String message, int exitCode) {
    super(message, null, false, false);
    this.exitCode = exitCode;
  }

  static CommandFailure usage(String message) {
    return new CommandFailure(message, 2);
  }

  static CommandFailure failed(String message) {
    return new CommandFailure(message, 1);
  }

  int exitCode() {
    return exitCode;
  }
}
