package dev.tessera.server.cli;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.WeightRole;
import dev.tessera.kernels.codec.FormFactory.KeyKnowledge;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.kvcache.Ladder;
import dev.tessera.kvcache.PolicySetting;
import dev.tessera.kvcache.Rung;
import dev.tessera.models.Model;
import dev.tessera.models.calibration.CalibratedKeys;
import dev.tessera.models.calibration.Calibration;
import dev.tessera.models.calibration.CalibrationCache;
import dev.tessera.models.calibration.Calibrator;
import dev.tessera.models.calibration.LearnedFiles;
import dev.tessera.models.calibration.PairDemand;
import dev.tessera.models.hub.ModelStore;
import dev.tessera.server.eval.AutoPolicy;
import dev.tessera.server.eval.PolicySearch;
import dev.tessera.server.eval.Sensitivities;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Supplier;

/// What a cache policy needs to know of a model's keys: learned at the first start, remembered at
/// the others.
final class KeyLearning {

  /// Some policy with keys in a learned basis.
  private static final KvPolicy SPECTRAL =
      new KvPolicy(
          0,
          64,
          new Ladder(List.of(new Ladder.Step(new Rung(Rung.Family.SPECTRAL, 4, 0), 64))),
          Ladder.EXACT,
          new TreeMap<>());

  private static final String LEARNING = "learning keys"; // to the reader of the progress

  private KeyLearning() {}

  /// Learns, if nothing is remembered, in a session of its own.
  ///
  /// @param backend that computes what is learned from: another one's roundings are others
  /// @param context tokens of the longest sequences that will be served
  static KeyKnowledge of(
      KvPolicy policy, Backend backend, Model model, Path path, int context, Progress progress) {
    return of(
        policy,
        backend,
        model,
        path,
        context,
        () ->
            Calibrator.learn(
                backend, model, context, PairDemand.of(policy), progress.share(LEARNING)));
  }

  /// Learns, if nothing is remembered, in a session that serves nobody yet.
  ///
  /// @param limits with which the session was loaded
  static KeyKnowledge of(
      KvPolicy policy,
      Backend backend,
      Model model,
      Path path,
      int context,
      DecoderSession session,
      SessionLimits limits,
      Progress progress) {
    return of(
        policy,
        backend,
        model,
        path,
        context,
        () ->
            new Calibrator(session, limits, PairDemand.of(policy))
                .learn(model.tokenizer(), context, progress.share(LEARNING)));
  }

  private static KeyKnowledge of(
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
    var cache = new CalibrationCache(path, otherFolder());
    return new CalibratedKeys(cache.get(inputs, model.spec(), learn), model.spec());
  }

  /// The policy that an operator asks for, found by measuring where that is asked for.
  ///
  /// @param context tokens of the longest sequences that will be served
  /// @param heard called with the table of a choice
  static KvPolicy policy(
      PolicySetting setting,
      Backend backend,
      Model model,
      Path path,
      int context,
      Progress progress,
      Consumer<String> heard) {
    return policy(setting, backend, model, path, context, AutoPolicy.Size.USUAL, progress, heard);
  }

  /// @param size of what is read to measure
  static KvPolicy policy(
      PolicySetting setting,
      Backend backend,
      Model model,
      Path path,
      int context,
      AutoPolicy.Size size,
      Progress progress,
      Consumer<String> heard) {
    return switch (setting) {
      case PolicySetting.Fixed(KvPolicy policy) -> policy;
      case PolicySetting.Auto auto -> {
        KeyKnowledge keys = of(SPECTRAL, backend, model, path, context, progress);
        Sensitivities sensitivities =
            AutoPolicy.sensitivities(
                backend,
                model,
                keys,
                new LearnedFiles(path, otherFolder()),
                size,
                progress.share("measuring layers"));
        PolicySearch.Result result = PolicySearch.of(sensitivities, auto);
        heard.accept(result.table());
        yield result.policy();
      }
    };
  }

  /// Where to remember what cannot be kept beside the model.
  private static Path otherFolder() {
    return new ModelStore(System.getenv()).cache().resolveSibling("learned");
  }

  /// Plain planes know nothing of keys, except where those have a bias: it turns with their
  /// position, and has to be taken out.
  private static boolean isNeeded(KvPolicy policy, Model model) {
    return policy.isLearned()
        || !policy.isExact() && model.weights().tensor(WeightRole.KEY_BIAS, 0) != null;
  }
}
