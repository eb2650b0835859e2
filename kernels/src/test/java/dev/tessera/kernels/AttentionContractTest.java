package dev.tessera.kernels;

import static dev.tessera.kernels.testing.Closeness.assertClose;

import dev.tessera.kernels.scalar.ScalarBackend;
import dev.tessera.kernels.testing.RandomTensors;
import dev.tessera.kernels.testing.Subject;
import java.util.ArrayList;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// Attention of every backend against the oracle's, at awkward lengths and shapes.
final class AttentionContractTest {

  static Stream<Subject> subjects() {
    return Subject.all();
  }

  /// @param heads query heads; the rest are the fields of [AttentionProblem]
  record AttentionCase(
      int heads,
      int kvHeads,
      int headDim,
      int queries,
      int context,
      float softCap,
      int window,
      int sinkTokens) {}

  static Stream<Arguments> attentionCases() {
    var cases = new ArrayList<AttentionCase>();
    for (int context : new int[] {1, 2, 63, 64, 65, 5 * 64 + 3}) {
      cases.add(new AttentionCase(4, 2, 64, 1, context, 0, 0, 0));
      cases.add(new AttentionCase(4, 2, 64, context, context, 0, 0, 0));
    }
    for (int queriesPerKvHead = 1; queriesPerKvHead <= 8; queriesPerKvHead++) {
      cases.add(new AttentionCase(2 * queriesPerKvHead, 2, 32, 3, 130, 0, 0, 0));
    }
    for (int headDim : new int[] {8, 16, 40, 64, 80, 96, 128, 256}) {
      cases.add(new AttentionCase(3, 1, headDim, 5, 100, 0, 0, 0));
    }
    for (int window : new int[] {1, 2, 63, 64, 65, 100, 200}) {
      cases.add(new AttentionCase(3, 3, 16, 70, 200, 0, window, 0));
      cases.add(new AttentionCase(3, 3, 16, 70, 200, 0, window, 4));
    }
    cases.add(new AttentionCase(2, 1, 16, 1, 300, 0, 20, 64));
    cases.add(new AttentionCase(2, 1, 16, 1, 300, 0, 20, 65));
    cases.add(new AttentionCase(2, 1, 24, 40, 90, 2.5f, 0, 0));
    cases.add(new AttentionCase(8, 2, 40, 33, 257, 50, 77, 1));
    return Subject.all().flatMap(subject -> cases.stream().map(c -> Arguments.of(subject, c)));
  }

  /// The inputs have eight significant bits, so every tile holds them exactly and only the
  /// arithmetic differs: a score is off by at most headDim roundings of its largest terms, a weight
  /// by that much relative to itself, and the sums by a rounding per key.
  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("attentionCases")
  void attendsLikeTheTextbook(Subject subject, AttentionCase c) {
    AttentionProblem problem = problem(c, 1, 17);
    try (Backend backend = subject.open(2);
        Backend oracle = new ScalarBackend()) {
      float[] actual = backend.primitives().attend(problem);
      float[] expected = oracle.primitives().attend(problem);
      double largestTerm = problem.scale() * max(problem.q()) * max(problem.k());
      double tolerance = (c.headDim() * largestTerm + c.context()) * 0x1p-24 * max(problem.v());
      assertClose(expected, actual, i -> tolerance);
    }
  }

  /// Scores up to several hundred: the running maximum has to be taken away before the exponential.
  @ParameterizedTest
  @MethodSource("subjects")
  void attendsToLargeScores(Subject subject) {
    AttentionProblem problem = problem(new AttentionCase(2, 2, 64, 9, 140, 0, 0, 0), 8, 18);
    try (Backend backend = subject.open(1);
        Backend oracle = new ScalarBackend()) {
      double largestTerm = problem.scale() * max(problem.q()) * max(problem.k());
      double tolerance = (64 * largestTerm + 140) * 0x1p-24 * max(problem.v());
      assertClose(
          oracle.primitives().attend(problem),
          backend.primitives().attend(problem),
          i -> tolerance);
    }
  }

  private static AttentionProblem problem(AttentionCase c, double spread, long seed) {
    var random = new Random(seed);
    return new AttentionProblem(
        c.heads(),
        c.kvHeads(),
        c.headDim(),
        c.queries(),
        c.context(),
        (float) (1 / Math.sqrt(c.headDim())),
        c.softCap(),
        c.window(),
        c.sinkTokens(),
        RandomTensors.coarseGaussians(c.queries() * c.heads() * c.headDim(), spread, random),
        RandomTensors.coarseGaussians(c.context() * c.kvHeads() * c.headDim(), spread, random),
        RandomTensors.coarseGaussians(c.context() * c.kvHeads() * c.headDim(), 1, random));
  }

  private static double max(float[] x) {
    double max = 0;
    for (float value : x) {
      max = Math.max(max, Math.abs(value));
    }
    return max;
  }
}
