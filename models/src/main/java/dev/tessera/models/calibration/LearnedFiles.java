package dev.tessera.models.calibration;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.function.Function;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// Keeps what was learned of a model beside it, or in another folder where that cannot be written.
/// A file that is damaged, or of another model, is passed over: what it says is computed again.
///
/// A file is `magic[8]`, the key (SHA-256), SHA-256 of the payload, the payload.
public final class LearnedFiles {

  private static final System.Logger LOG = System.getLogger(LearnedFiles.class.getName());
  private static final byte[] MAGIC = "tessera1".getBytes(StandardCharsets.US_ASCII);
  private static final int HASH_BYTES = 32;
  private static final int HEADER_BYTES = MAGIC.length + 2 * HASH_BYTES;

  private final List<Path> folders;

  /// @param model its file or folder
  /// @param other where to go if the model's folder cannot be written
  public LearnedFiles(Path model, Path other) {
    Path beside = Files.isDirectory(model) ? model : model.toAbsolutePath().getParent();
    folders = beside == null ? List.of(other) : List.of(beside, other);
  }

  /// What was learned, computed if it is not there.
  ///
  /// @param what a word for the file's name
  /// @param inputs everything that it depends on
  /// @param read throws [IllegalArgumentException] where the payload is of an unknown form
  /// @param write makes the payload
  public <T> T get(
      String what,
      byte[] inputs,
      Function<byte[], T> read,
      Function<T, byte[]> write,
      Supplier<T> learn) {
    byte[] key = Calibration.sha256().digest(inputs);
    String name = ".tessera-" + what + "-" + HexFormat.of().formatHex(key, 0, 8);
    byte[] payload = read(name, key);
    if (payload != null) {
      try {
        return read.apply(payload);
      } catch (IllegalArgumentException e) {
        LOG.log(System.Logger.Level.WARNING, "{0}: {1}; learning again", name, e.getMessage());
      }
    }
    T learned = learn.get();
    write(name, key, write.apply(learned));
    return learned;
  }

  private byte @Nullable [] read(String name, byte[] key) {
    for (Path folder : folders) {
      Path file = folder.resolve(name);
      if (!Files.exists(file)) {
        continue;
      }
      try {
        byte[] bytes = Files.readAllBytes(file);
        byte[] payload = payload(bytes, key);
        if (payload != null) {
          return payload;
        }
        LOG.log(System.Logger.Level.WARNING, "{0} is damaged; learning again", file);
      } catch (IOException e) {
        LOG.log(System.Logger.Level.WARNING, "{0}: {1}", file, String.valueOf(e.getMessage()));
      }
    }
    return null;
  }

  private static byte @Nullable [] payload(byte[] bytes, byte[] key) {
    if (bytes.length < HEADER_BYTES) {
      return null;
    }
    byte[] payload = Arrays.copyOfRange(bytes, HEADER_BYTES, bytes.length);
    byte[] header = header(key, payload);
    return Arrays.equals(header, 0, HEADER_BYTES, bytes, 0, HEADER_BYTES) ? payload : null;
  }

  private static byte[] header(byte[] key, byte[] payload) {
    return ByteBuffer.allocate(HEADER_BYTES)
        .put(MAGIC)
        .put(key)
        .put(Calibration.sha256().digest(payload))
        .array();
  }

  /// Into the first folder that takes it; a reader sees the whole file or none.
  private void write(String name, byte[] key, byte[] payload) {
    for (Path folder : folders) {
      try {
        Files.createDirectories(folder);
        Path part = Files.createTempFile(folder, name, ".part");
        try {
          Files.write(part, header(key, payload));
          Files.write(part, payload, java.nio.file.StandardOpenOption.APPEND);
          move(part, folder.resolve(name));
        } finally {
          Files.deleteIfExists(part);
        }
        return;
      } catch (IOException e) {
        LOG.log(System.Logger.Level.DEBUG, "{0}: {1}", folder, String.valueOf(e.getMessage()));
      }
    }
    LOG.log(
        System.Logger.Level.WARNING,
        "what was learned of the model could not be kept in {0}; every start learns again",
        folders);
  }

  private static void move(Path from, Path to) throws IOException {
    try {
      Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
    } catch (AtomicMoveNotSupportedException e) {
      Files.move(from, to, StandardCopyOption.REPLACE_EXISTING);
    }
  }
}
