package dev.tessera.server.cli;

/// The entry point of the command line.
public final class Main {
  private Main() {}

  public static void main(String[] arguments) {
    System.err.println("tessera: no command yet");
    System.exit(2);
  }
}
