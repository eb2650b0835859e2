package dev.tessera.models.calibration;

import dev.tessera.kernels.DecoderSpec;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// Keeps what was learned beside the model, or in another folder where that cannot be written. A
/// file that is damaged, or of another model, is passed over: what it says is computed again.
///
/// A file is `magic[8]`, the key (SHA-256), SHA-256 of the payload, the payload.
public final class CalibrationCache {

  private static final System.Logger LOG = System.getLogger(CalibrationCache.class.getName());
  private static final byte[] MAGIC = "tessera1".getBytes(StandardCharsets.US_ASCII);
  private static final int HASH_BYTES = 32;
  private static final int HEADER_BYTES = MAGIC.length + 2 * HASH_BYTES;

  private final List<Path> folders;

  /// @param model its file or folder
  /// @param other where to go if the model's folder cannot be written
  public CalibrationCache(Path model, Path other) {
    Path beside = Files.isDirectory(model) ? model : model.toAbsolutePath().getParent();
    folders = beside == null ? List.of(other) : List.of(beside, other);
  }

  /// The calibration of a model, computed if it is not there.
  ///
  /// @param inputs everything that the calibration depends on beside the algorithm and its texts:
  ///   the model's fingerprint, the context
  public Calibration get(byte[] inputs, DecoderSpec spec, Supplier<Calibration> learn) {
    return get(inputs, spec.layers().size(), spec.kvHeads(), spec.headDim(), learn);
  }

  Calibration get(
      byte[] inputs, int layers, int kvHeads, int headDim, Supplier<Calibration> learn) {
    byte[] key = key(inputs);
    String name = ".tessera-keys-" + HexFormat.of().formatHex(key, 0, 8);
    byte[] payload = read(name, key);
    if (payload != null) {
      try {
        return CalibrationBytes.read(payload, layers, kvHeads, headDim);
      } catch (IllegalArgumentException e) {
        LOG.log(System.Logger.Level.WARNING, "{0}: {1}; learning again", name, e.getMessage());
      }
    }
    Calibration learned = learn.get();
    write(name, key, CalibrationBytes.write(learned));
    return learned;
  }

  private static byte[] key(byte[] inputs) {
    MessageDigest digest = Calibration.sha256();
    digest.update(ByteBuffer.allocate(4).putInt(Calibrator.VERSION).flip());
    digest.update(CalibrationTexts.source());
    return digest.digest(inputs);
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
        "what was learned of the model''s keys could not be kept in {0}; every start learns again",
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
