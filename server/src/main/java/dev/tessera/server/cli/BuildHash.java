package dev.tessera.server.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.List;
import java.util.stream.Stream;

/// A hash of the code that runs: the jars, or the folders of classes, that types were loaded from.
final class BuildHash {

  private BuildHash() {}

  /// @param types one of each module that counts
  static byte[] of(Class<?>... types) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      for (Class<?> type : types) {
        CodeSource source = type.getProtectionDomain().getCodeSource();
        if (source == null) {
          throw new IllegalStateException(type + " does not say where it was loaded from");
        }
        add(digest, Path.of(source.getLocation().toURI()));
      }
      return digest.digest();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (NoSuchAlgorithmException | URISyntaxException e) {
      throw new AssertionError("every Java platform has SHA-256, and modules lie in files", e);
    }
  }

  private static void add(MessageDigest digest, Path path) throws IOException {
    List<Path> files;
    try (Stream<Path> all = Files.walk(path)) {
      files = all.filter(Files::isRegularFile).sorted().toList();
    }
    for (Path file : files) {
      digest.update(path.relativize(file).toString().getBytes(StandardCharsets.UTF_8));
      digest.update(Files.readAllBytes(file));
    }
  }
}
