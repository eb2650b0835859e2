package dev.tessera.server.cli;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.WeightRole;
import dev.tessera.kernels.codec.FormFactory.KeyKnowledge;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.models.Model;
import dev.tessera.models.calibration.CalibratedKeys;
import dev.tessera.models.calibration.Calibration;
import dev.tessera.models.calibration.CalibrationCache;
import dev.tessera.models.calibration.PairDemand;
import dev.tessera.models.hub.ModelStore;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.function.Supplier;

/// What a cache policy needs to know of a model's keys: learned at the first start, remembered at
/// the others.
final class KeyLearning {

  private KeyLearning() {}

  /// @param backend that computes what is learned from: another one's roundings are others
  /// @param context tokens of the longest sequences that will be served
  /// @param learn asked if nothing is remembered
  static KeyKnowledge of(
      KvPolicy policy,
      Backend backend,
      Model model,
      Path path,
      int context,
      Supplier<Calibration> learn) {
    if (!isNeeded(policy, model)) {
      return KeyKnowledge.NONE;
    }
    byte[] element = backend.exactElement().name().getBytes(StandardCharsets.UTF_8);
    byte[] fingerprint = model.fingerprint();
    byte[] demand = PairDemand.of(policy).bytes();
    byte[] inputs =
        ByteBuffer.allocate(fingerprint.length + 4 + element.length + demand.length)
            .put(fingerprint)
            .putInt(context)
            .put(element)
            .put(demand)
            .array();
    var cache =
        new CalibrationCache(
            path, new ModelStore(System.getenv()).cache().resolveSibling("learned"));
    return new CalibratedKeys(cache.get(inputs, model.spec(), learn), model.spec());
  }

  /// Plain planes know nothing of keys, except where those have a bias: it turns with their
  /// position, and has to be taken out.
  private static boolean isNeeded(KvPolicy policy, Model model) {
    return policy.isLearned()
        || !policy.isExact() && model.weights().tensor(WeightRole.KEY_BIAS, 0) != null;
  }
}
