package dev.tessera.server.eval;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.codec.FormFactory.KeyKnowledge;
import dev.tessera.models.Model;
import dev.tessera.models.WidenedWeights;
import dev.tessera.models.calibration.CalibrationTexts;
import dev.tessera.models.calibration.LearnedFiles;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.function.DoubleConsumer;

/// What `auto` knows of a model: measured at the first start that asks for it, remembered at the
/// others.
public final class AutoPolicy {

  /// Counts up whenever the same model and texts would give other sensitivities.
  private static final int VERSION = 3;

  /// Weights are widened to halves for the measurement, as the evaluation does, unless they take
  /// more than that: bytes.
  private static final long MOST_WIDENED = 4L << 30;

  /// How much is read to measure.
  ///
  /// @param prosePast tokens of prose that are read once
  /// @param proseRows tokens behind them that are computed for every probe
  /// @param factsRows the same of the text in which facts are asked for
  public record Size(int prosePast, int proseRows, int factsRows) {
    public static final Size USUAL = new Size(1024, 64, 128);
  }

  private AutoPolicy() {}

  /// @param keys what was learned of the model's keys
  /// @param progress called with the share that is done, from 0 to 1
  /// @throws IllegalArgumentException if the model's context is too short to measure
  public static Sensitivities sensitivities(
      Backend backend,
      Model model,
      KeyKnowledge keys,
      LearnedFiles files,
      Size size,
      DoubleConsumer progress) {
    byte[] element = backend.exactElement().name().getBytes(StandardCharsets.UTF_8);
    byte[] epoch = keys.epoch();
    byte[] fingerprint = model.fingerprint();
    byte[] texts = CalibrationTexts.source();
    byte[] inputs =
        ByteBuffer.allocate(
                4 * Integer.BYTES
                    + fingerprint.length
                    + epoch.length
                    + element.length
                    + texts.length)
            .putInt(VERSION)
            .putInt(size.prosePast)
            .putInt(size.proseRows)
            .putInt(size.factsRows)
            .put(fingerprint)
            .put(epoch)
            .put(element)
            .put(texts)
            .array();
    return files.get(
        "auto",
        inputs,
        Sensitivities::of,
        Sensitivities::bytes,
        () -> measure(backend, model, keys, size, progress));
  }

  private static Sensitivities measure(
      Backend backend, Model model, KeyKnowledge keys, Size size, DoubleConsumer progress) {
    try (var halves = new WidenedWeights(model.weights())) {
      boolean widens = 2 * model.parameters() <= MOST_WIDENED;
      try (var probe =
          new SensitivityProbe(
              backend,
              model.spec(),
              widens ? halves : model.weights(),
              model.tokenizer(),
              keys,
              size)) {
        return probe.measure(progress);
      }
    }
  }
}
