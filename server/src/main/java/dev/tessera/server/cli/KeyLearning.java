package dev.tessera.server.cli;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.WeightRole;
import dev.tessera.kernels.codec.FormFactory.KeyKnowledge;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.models.Model;
import dev.tessera.models.calibration.Calibration;
import dev.tessera.models.calibration.CalibrationCache;
import dev.tessera.models.calibration.Calibrator;
import dev.tessera.models.calibration.KnownKeys;
import dev.tessera.models.hub.ModelStore;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/// What a cache policy needs to know of a model's keys: learned at the first start, remembered at
/// the others.
final class KeyLearning {

  private KeyLearning() {}

  /// Whether codes of this policy depend on what the model's keys are like. Plain planes do where
  /// keys have a bias, which turns with their position.
  private static boolean isNeeded(KvPolicy policy, Model model) {
    return policy.isLearned()
        || !policy.isExact() && model.weights().tensor(WeightRole.KEY_BIAS, 0) != null;
  }

  /// @param context tokens of the longest sequences that will be served
  static KeyKnowledge of(
      KvPolicy policy, Backend backend, Model model, Path path, int context, Progress progress) {
    if (!isNeeded(policy, model)) {
      return KeyKnowledge.NONE;
    }
    byte[] computedBy = backend.exactElement().name().getBytes(StandardCharsets.UTF_8);
    byte[] fingerprint = model.fingerprint();
    byte[] inputs =
        ByteBuffer.allocate(fingerprint.length + computedBy.length + 4)
            .put(fingerprint)
            .put(computedBy)
            .putInt(context)
            .array();
    Path other = new ModelStore(System.getenv()).cache().resolveSibling("learned");
    Calibration calibration =
        new CalibrationCache(path, other)
            .get(
                inputs,
                model.spec(),
                () -> Calibrator.learn(backend, model, context, progress.share("learning keys")));
    return new KnownKeys(calibration, model.spec());
  }
}
