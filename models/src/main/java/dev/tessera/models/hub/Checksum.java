package dev.tessera.models.hub;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/// What a file's bytes must add up to.
///
/// @param hex digest in lower case
record Checksum(Kind kind, String hex) {

  /// How it is computed.
  enum Kind {
    SHA_256,
    /// SHA-1 over `blob <length>\0` and the bytes: the name that git gives a file.
    GIT_BLOB
  }

  static Checksum sha256(String hex) {
    return new Checksum(Kind.SHA_256, hex);
  }

  static Checksum gitBlob(String hex) {
    return new Checksum(Kind.GIT_BLOB, hex);
  }

  /// A digest that wants the file's bytes.
  ///
  /// @param length bytes that the file will have
  MessageDigest start(long length) {
    try {
      if (kind == Kind.SHA_256) {
        return MessageDigest.getInstance("SHA-256");
      }
      MessageDigest digest = MessageDigest.getInstance("SHA-1");
      digest.update(("blob " + length + "\0").getBytes(StandardCharsets.US_ASCII));
      return digest;
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has it", e);
    }
  }

  boolean matches(MessageDigest digest) {
    return HexFormat.of().formatHex(digest.digest()).equals(hex);
  }

  boolean matches(Path file) throws IOException {
    MessageDigest digest = start(Files.size(file));
    update(digest, file);
    return matches(digest);
  }

  static void update(MessageDigest digest, Path file) throws IOException {
    byte[] buffer = new byte[1 << 20];
    try (InputStream in = Files.newInputStream(file)) {
      for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
        digest.update(buffer, 0, count);
      }
    }
  }
}
