package dev.tessera.server.cli;

import picocli.CommandLine.IVersionProvider;

/// The version of this build.
final class Version implements IVersionProvider {

  static String text() {
    String built = Main.class.getPackage().getImplementationVersion();
    return built == null ? "development" : built;
  }

  @Override
  public String[] getVersion() {
    return new String[] {"tessera " + text()};
  }
}
