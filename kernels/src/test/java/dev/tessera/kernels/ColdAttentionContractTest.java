package dev.tessera.kernels;

import static dev.tessera.kernels.testing.Closeness.relativeError;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.codec.Turn;
import dev.tessera.kernels.scalar.ScalarBackend;
import dev.tessera.kernels.testing.RandomTensors;
import dev.tessera.kernels.testing.SampleCodes;
import dev.tessera.kernels.testing.SampleCodes.Ladder;
import dev.tessera.kernels.testing.SampleForms;
import dev.tessera.kernels.testing.Subject;
import dev.tessera.kernels.testing.TinyDecoder;
import dev.tessera.kvcache.CoolingRule;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// Attention of every backend over tiles in any mixture of forms. Keys and values have eight
/// significant bits, so every backend's exact tiles are the same, and so are the coded ones: what
/// remains is the error of a kernel, not of a code.
final class ColdAttentionContractTest {

  /// @param ages the rule's; one first block stays exact
  record ColdCase(
      String name,
      int heads,
      int kvHeads,
      int headDim,
      int queries,
      int context,
      float softCap,
      List<Integer> ages,
      List<Ladder> keys,
      List<Ladder> values) {
    @Override
    public String toString() {
      return "%s, %d heads over %d of %d, %d of %d positions"
          .formatted(name, heads, kvHeads, headDim, queries, context);
    }
  }

  static Stream<Arguments> coldCases() {
    var cases = new ArrayList<ColdCase>();
    for (int headDim : SampleCodes.HEAD_DIMS) {
      List<Ladder> values = SampleCodes.values(headDim);
      int next = 0;
      for (Ladder keys : SampleCodes.keys(headDim)) {
        Ladder value = values.get(next++ % values.size());
        List<Integer> ages = keys.codes().size() > 2 ? List.of(1, 2, 3) : List.of(1, 3);
        cases.add(
            new ColdCase(
                "k=%s v=%s".formatted(keys, value),
                2,
                1,
                headDim,
                3,
                5 * 64 + 3,
                0,
                ages,
                List.of(keys),
                List.of(value)));
      }
    }
    List<Ladder> keys = SampleCodes.keys(32);
    List<Ladder> values = SampleCodes.values(32);
    for (int shared = 1; shared <= 8; shared++) {
      cases.add(new ColdCase("mixed", 3 * shared, 3, 32, 70, 400, 0, List.of(2), keys, values));
    }
    for (int headDim : new int[] {8, 64, 256}) {
      List<Ladder> turned = SampleCodes.sparselyTurned(headDim);
      cases.add(
          new ColdCase(
              "turned in pairs", 12, 6, headDim, 4, 300, 0, List.of(1), turned, values(headDim)));
    }
    cases.add(new ColdCase("a whole prompt", 3, 3, 32, 333, 333, 0, List.of(1, 2), keys, values));
    cases.add(new ColdCase("soft-capped", 4, 2, 32, 5, 300, 2.5f, List.of(1), keys, values));
    return Subject.all().flatMap(subject -> cases.stream().map(c -> Arguments.of(subject, c)));
  }

  private static List<Ladder> values(int headDim) {
    return SampleCodes.values(headDim).subList(0, 6);
  }

  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("coldCases")
  void attendsLikeTheTextbook(Subject subject, ColdCase c) {
    AttentionProblem problem = problem(c);
    try (Backend backend = subject.open(2);
        Backend oracle = ScalarBackend.roundingAs(backend)) {
      float[] actual = backend.primitives().attend(problem, forms(c, backend));
      float[] expected = oracle.primitives().attend(problem, forms(c, oracle));
      var unlike = new ArrayList<Double>();
      int rows = c.queries() * c.heads();
      for (int row = 0; row < rows; row++) {
        double error = relativeError(row(expected, row, c), row(actual, row, c));
        assertTrue(error <= oneStep(c), "row %d is off by %s".formatted(row, error));
        if (error > ALIKE) {
          unlike.add(error);
        }
      }
      assertTrue(unlike.size() <= 2 + rows / 20, "%s: rows off by %s".formatted(c, unlike));
      float[] exact = oracle.primitives().attend(problem);
      assertTrue(relativeError(exact, expected) > 1e-6, "no tile is cold");
    }
  }

  private static float[] row(float[] all, int row, ColdCase c) {
    return Arrays.copyOfRange(all, row * c.headDim(), (row + 1) * c.headDim());
  }

  /// Between a backend and the oracle that rounds as it does lies single precision: scores are sums
  /// of some hundred terms, weights their exponentials.
  private static final double ALIKE = 1e-4;

  /// Now and then a number comes so near to the middle of two roundings that it falls to the other
  /// side. An element of a query then is off by one step, 1/31 of the largest, which is about 3
  /// times their spread: with keys of unit variance this moves a score by 3 / 31 / sqrt(headDim) in
  /// the root mean square, and weights and the result by as much of themselves. At most twice that.
  private static double oneStep(ColdCase c) {
    return 2 * 3.0 / 31 / Math.sqrt(c.headDim());
  }

  private static CooledForms forms(ColdCase c, Backend backend) {
    TinyDecoder decoder =
        TinyDecoder.builder().layers(1).heads(c.heads(), c.kvHeads(), c.headDim()).build(1);
    return SampleForms.of(
        decoder.spec().kv(),
        backend.exactSlabs(decoder.spec()),
        new CoolingRule(1, c.ages()),
        c.keys().stream().map(Ladder::codes).toList(),
        c.values().stream().map(Ladder::codes).toList(),
        Math.ceilDiv(c.context(), 64));
  }

  /// Keys with the mean that each head's code turns, so that a code meets what it was made for.
  private static AttentionProblem problem(ColdCase c) {
    var random = new Random(c.toString().hashCode());
    float[] k = RandomTensors.coarseGaussians(c.context() * c.kvHeads() * c.headDim(), 1, random);
    for (int head = 0; head < c.kvHeads(); head++) {
      Turn turn = c.keys().get(head % c.keys().size()).codes().getFirst().turn();
      for (int position = 0; turn != null && position < c.context(); position++) {
        float[] turned = turn.at(position);
        for (int i = 0; i < c.headDim(); i++) {
          int at = (position * c.kvHeads() + head) * c.headDim() + i;
          k[at] = RandomTensors.coarse(k[at] + turned[i]);
        }
      }
    }
    return new AttentionProblem(
        c.heads(),
        c.kvHeads(),
        c.headDim(),
        c.queries(),
        c.context(),
        (float) (1 / Math.sqrt(c.headDim())),
        c.softCap(),
        0,
        0,
        RandomTensors.gaussians(c.queries() * c.heads() * c.headDim(), 0, 1, random),
        k,
        RandomTensors.coarseGaussians(c.context() * c.kvHeads() * c.headDim(), 1, random));
  }
}
