package dev.tessera.server.eval;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.Backends;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.codec.FormFactory;
import dev.tessera.kernels.codec.FormFactory.KeyKnowledge;
import dev.tessera.kernels.codec.SpectralCodes;
import dev.tessera.kernels.codec.Turn;
import dev.tessera.kvcache.FormPlan;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.kvcache.KvPolicyParser;
import dev.tessera.kvcache.PolicySetting;
import dev.tessera.models.Model;
import dev.tessera.models.Models;
import dev.tessera.models.WidenedWeights;
import dev.tessera.models.calibration.CalibratedKeys;
import dev.tessera.models.calibration.Calibrator;
import dev.tessera.models.calibration.PairDemand;
import dev.tessera.models.testing.ReferenceFiles;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;
import org.junit.jupiter.api.function.Executable;

/// The default model with a constant added to every key before RoPE, as a key bias adds it: the
/// stress of every codec that knows nothing of it.
///
/// A constant before RoPE would change what the model computes. So it is added where tiles are
/// coded and taken out, exactly, where they are read: coding `k + R_p c`, reading `- R_p c`. That
/// is what a code does whose turning mean is `m - c`, m being the mean that it would take out of
/// keys with the offset; so the kernels compute it, and the exact model is the very same.
final class KeyOffsetTest {

  private static final int TOKENS = 2048;

  /// What was learned of keys with an offset, for codes of keys without.
  ///
  /// @param learned null for codes that know nothing: plain planes, centred on the tile's mean
  private record Offset(float[][][] offset, @Nullable KeyKnowledge learned, DecoderSpec spec)
      implements KeyKnowledge {

    @Override
    public SpectralCodes.@Nullable Spectrum spectrum(int layer, int kvHead) {
      return learned == null ? null : learned.spectrum(layer, kvHead);
    }

    @Override
    public Turn turn(int layer, int kvHead) {
      Turn taken = learned == null ? null : learned.turn(layer, kvHead);
      float[] mean = new float[spec.headDim()];
      for (int i = 0; i < mean.length; i++) {
        mean[i] = (taken == null ? 0 : taken.mean()[i]) - offset[layer][kvHead][i];
      }
      return new Turn(mean, spec.ropes().get(spec.layers().get(layer).rope()));
    }
  }

  /// The mean square deviation of each head's keys from their mean before RoPE.
  private static double[][] variances(Backend backend, Model model, int[] tokens) {
    DecoderSpec spec = model.spec();
    int dim = spec.headDim();
    var sums = new double[spec.layers().size()][spec.kvHeads()][dim];
    var squares = new double[spec.layers().size()][spec.kvHeads()];
    int[] slabs = new int[spec.kv().groups().size()];
    Arrays.fill(slabs, Math.ceilDiv(tokens.length, 64));
    var limits = new SessionLimits(tokens.length, 1, 1, slabs);
    try (DecoderSession session = backend.load(spec, model.weights(), limits, share -> {})) {
      session.capture(
          (layer, vectors) -> {
            var rope = spec.ropes().get(spec.layers().get(layer).rope());
            for (int row = 0; row < tokens.length; row++) {
              for (int head = 0; head < spec.kvHeads(); head++) {
                int at = (row * (spec.heads() + 2 * spec.kvHeads()) + spec.heads() + head) * dim;
                float[] key = Arrays.copyOfRange(vectors, at, at + dim);
                float[] before = new Turn(key, rope).at(-row);
                for (int i = 0; i < dim; i++) {
                  sums[layer][head][i] += before[i];
                  squares[layer][head] += (double) before[i] * before[i];
                }
              }
            }
          });
      new TeacherForcing(session, CooledForms.NONE)
          .read(
              new EvaluationText("keys", tokens, new int[0], List.of()),
              tokens.length,
              (row, logits) -> {});
    }
    for (int layer = 0; layer < squares.length; layer++) {
      for (int head = 0; head < spec.kvHeads(); head++) {
        for (double sum : sums[layer][head]) {
          squares[layer][head] -= sum * sum / tokens.length;
        }
        squares[layer][head] /= (double) tokens.length * dim;
      }
    }
    return squares;
  }

  /// `[layers][kvHeads][headDim]`, of so many standard deviations of the head's keys
  private static float[][][] offset(double[][] variances, int dim, double alpha) {
    var random = new Random(1);
    var offset = new float[variances.length][variances[0].length][dim];
    for (int layer = 0; layer < offset.length; layer++) {
      for (int head = 0; head < offset[layer].length; head++) {
        double sigma = Math.sqrt(variances[layer][head]);
        for (int i = 0; i < dim; i++) {
          offset[layer][head][i] = (float) (alpha * sigma * random.nextGaussian());
        }
      }
    }
    return offset;
  }

  @Test
  void presetsKeepTheirGatesWithinAFactorOfTwo(TestReporter reporter) throws Exception {
    var options = new BackendOptions(Runtime.getRuntime().availableProcessors(), "auto");
    List<Executable> checks = new ArrayList<>();
    try (Backend backend = Backends.choose(Backends.AUTO, options).backend();
        Model model = Models.open(ReferenceFiles.smolLm2());
        var halves = new WidenedWeights(model.weights())) {
      DecoderSpec spec = model.spec();
      List<EvaluationText> texts = EvaluationTexts.of(model.tokenizer(), TOKENS, false, 0);
      double[][] variances =
          variances(backend, model, Arrays.copyOf(texts.getFirst().tokens(), 512));
      try (var evaluation = new Evaluation(backend, spec, halves, texts, share -> {})) {
        for (double alpha : new double[] {3, 10, 30}) {
          float[][][] offset = offset(variances, spec.headDim(), alpha);
          var knowing =
              new Offset(
                  offset,
                  new CalibratedKeys(
                      Calibrator.learn(
                          OffsetKeys.of(backend, offset),
                          model,
                          spec.maxPositions(),
                          PairDemand.NONE,
                          s -> {}),
                      spec),
                  spec);
          for (var gate : List.of(new Gate("near-lossless", 0.0012), new Gate("balanced", 0.003))) {
            double divergence =
                divergence(evaluation, forms(backend, spec, gate.policy, knowing, evaluation));
            String line = "%s, offset of %.0f: %.5f".formatted(gate.policy, alpha, divergence);
            reporter.publishEntry(line);
            checks.add(() -> assertTrue(divergence <= 2 * gate.divergence, line));
          }
        }
        // As many bits, and no knowledge.
        var blind = new Offset(offset(variances, spec.headDim(), 10), null, spec);
        double divergence = divergence(evaluation, forms(backend, spec, "p4", blind, evaluation));
        String line = "p4 that knows nothing, offset of 10: %.5f".formatted(divergence);
        reporter.publishEntry(line);
        checks.add(() -> assertTrue(divergence > 2 * 0.003, line));
      }
    }
    assertAll(checks);
  }

  /// @param divergence mean, at most, without an offset: see [CacheFidelityTest]
  private record Gate(String policy, double divergence) {}

  private static double divergence(Evaluation evaluation, CooledForms forms) {
    return evaluation.measure("", forms, false, share -> {}).fidelity().mean();
  }

  private static CooledForms forms(
      Backend backend, DecoderSpec spec, String text, KeyKnowledge keys, Evaluation evaluation) {
    KvPolicy policy = ((PolicySetting.Fixed) KvPolicyParser.parse(text)).policy();
    var exact = List.of(backend.exactSlabs(spec));
    return new FormFactory(FormPlan.of(policy, spec.kv()), spec, exact, keys)
        .create(evaluation.slabs() * exact.getFirst().slabBytes());
  }
}
