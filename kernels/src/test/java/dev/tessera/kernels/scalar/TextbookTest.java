package dev.tessera.kernels.scalar;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.tessera.kernels.ActivationFormat;
import dev.tessera.kernels.AttentionProblem;
import dev.tessera.kernels.DecoderSpec.Activation;
import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.RopeSpec.Pairing;
import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.TensorType;
import dev.tessera.kernels.testing.RandomTensors;
import org.junit.jupiter.api.Test;

/// The oracle's operations, worked by hand. Tolerances are a few roundings of double precision, or
/// of the floats that go in and out.
final class TextbookTest {

  private static final double DOUBLE = 1e-14;
  private static final float FLOAT = 1e-6f;

  @Test
  void multipliesRowsByColumns() {
    Tensor values = RandomTensors.vector("w", new float[] {1, 2, 3, 4, 5, 6});
    var weights = new Tensor("w", TensorType.F32, 2, 3, values.data());
    // (1 2 3) and (4 5 6), each times (1 0 -1) and (2 1 1).
    assertArrayEquals(
        new double[] {-2, -2, 7, 19},
        Textbook.multiply(weights, new double[] {1, 0, -1, 2, 1, 1}, 2, ActivationFormat.SINGLE));
  }

  @Test
  void normalisesByTheRootMeanSquareOfEveryStretch() {
    // The mean squares of (3, 4, 0, 0) and (0, 0, 2, 0) are 25/4 and 1.
    assertArrayEquals(
        new double[] {1.2, 3.2, 0, 0, 0, 0, 2, 0},
        Textbook.rmsNorm(new double[] {3, 4, 0, 0, 0, 0, 2, 0}, new float[] {1, 2, 1, 1}, 0),
        DOUBLE);
    assertArrayEquals(
        new double[] {0.5}, Textbook.rmsNorm(new double[] {1}, new float[] {1}, 3), DOUBLE);
  }

  @Test
  void turnsNeighboursOrHalves() {
    double[] quarterTurns = {Math.PI / 2, 0};
    var x = new double[] {9, 1, 2, 3, 4, 5};
    Textbook.rotate(x, 1, new RopeSpec(Pairing.INTERLEAVED, quarterTurns, 1), 1);
    assertArrayEquals(new double[] {9, -2, 1, 3, 4, 5}, x, DOUBLE);

    var y = new double[] {9, 1, 2, 3, 4, 5};
    Textbook.rotate(y, 1, new RopeSpec(Pairing.SPLIT, quarterTurns, 2), 1);
    assertArrayEquals(new double[] {9, -6, 4, 2, 8, 5}, y, DOUBLE);
  }

  @Test
  void turnsByThePosition() {
    var x = new double[] {1, 0};
    Textbook.rotate(x, 0, new RopeSpec(Pairing.SPLIT, new double[] {Math.PI / 6}, 1), 2);
    assertArrayEquals(new double[] {0.5, Math.sqrt(3) / 2}, x, DOUBLE);
  }

  @Test
  void gatesWithEitherActivation() {
    // silu(ln 3) = ln 3 · 3/4; gelu(1) = 0.841192 in the tanh form (0.841345 in the exact one).
    double ln3 = Math.log(3);
    assertArrayEquals(
        new double[] {ln3 * 1.5},
        Textbook.gated(new double[] {ln3}, new double[] {2}, Activation.SILU),
        DOUBLE);
    assertEquals(
        0.841192,
        Textbook.gated(new double[] {1}, new double[] {1}, Activation.GELU_TANH)[0],
        5e-7);
  }

  @Test
  void capsSoftly() {
    assertEquals(7, Textbook.softCap(7, 0));
    assertEquals(30 * Math.tanh(0.5), Textbook.softCap(15, 30), DOUBLE);
  }

  /// Scores 0, ln 2, ln 4, 0 and values 10, 20, 30, 40: the worked example of
  /// `PartialAttentionTest`, through tiles.
  @Test
  void attendsToWhatItSees() {
    assertEquals(26.25f, attend(0, 0), 26.25f * FLOAT);
    // A window of two sees the last two keys: (4 · 30 + 1 · 40) / 5.
    assertEquals(32, attend(2, 0), 32 * FLOAT);
    // The first key as a sink beside them: (10 + 120 + 40) / 6.
    assertEquals(170f / 6, attend(2, 1), 30 * FLOAT);
    assertEquals(40, attend(1, 0), 40 * FLOAT);
  }

  private static float attend(int window, int sinkTokens) {
    int headDim = 8;
    var q = new float[headDim];
    q[0] = 2;
    var k = new float[4 * headDim];
    var v = new float[4 * headDim];
    double[] scores = {0, Math.log(2), Math.log(4), 0};
    for (int key = 0; key < 4; key++) {
      k[key * headDim] = (float) scores[key];
      v[key * headDim + 7] = 10 * (key + 1);
    }
    var problem = new AttentionProblem(1, 1, headDim, 1, 4, 0.5f, 0, window, sinkTokens, q, k, v);
    return new ScalarBackend().primitives().attend(problem)[7];
  }
}
