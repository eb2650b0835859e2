package dev.tessera.models.calibration;

import dev.tessera.kernels.DecoderSpec;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.function.Supplier;

/// Keeps what was learned of a model's keys in [LearnedFiles].
public final class CalibrationCache {

  private final LearnedFiles files;

  /// @param model its file or folder
  /// @param other where to go if the model's folder cannot be written
  public CalibrationCache(Path model, Path other) {
    files = new LearnedFiles(model, other);
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
    return files.get(
        "keys",
        key(inputs),
        payload -> CalibrationBytes.read(payload, layers, kvHeads, headDim),
        CalibrationBytes::write,
        learn);
  }

  private static byte[] key(byte[] inputs) {
    byte[] texts = CalibrationTexts.source();
    return ByteBuffer.allocate(Integer.BYTES + texts.length + inputs.length)
        .putInt(Calibrator.VERSION)
        .put(texts)
        .put(inputs)
        .array();
  }
}
