package dev.tessera.kernels;

import static dev.tessera.kernels.testing.Closeness.assertClose;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.tessera.kernels.scalar.ScalarBackend;
import dev.tessera.kernels.testing.RandomTensors;
import dev.tessera.kernels.testing.Subject;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// Matrix products and norms of every backend, for weights of every type.
final class ProductContractTest {

  static Stream<Subject> subjects() {
    return Subject.all();
  }

  static Stream<Arguments> products() {
    return Subject.all()
        .flatMap(subject -> Arrays.stream(TensorType.values()).map(t -> Arguments.of(subject, t)));
  }

  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("products")
  void multipliesWeightsOfEveryType(Subject subject, TensorType type) {
    var random = new Random(19);
    int[] columnCounts =
        type.blockElements() == 256
            ? new int[] {256, 512}
            : type.blockElements() == 32 ? new int[] {32, 96, 576} : new int[] {8, 40, 64, 200};
    try (Backend backend = subject.open(2)) {
      for (int columns : columnCounts) {
        for (int rows : new int[] {1, 31, 32, 33, 100}) {
          Tensor weights = RandomTensors.matrix("w", type, rows, columns, 1, random);
          for (int tokens : new int[] {1, 2, 5, 7, 13, 64}) {
            float[] x = RandomTensors.gaussians(tokens * columns, 0, 1, random);
            assertProduct(backend, weights, x, tokens);
          }
        }
      }
    }
  }

  /// The largest integers that the kernels may meet: every code and every integer scale at an end
  /// of its range, with activations that all add up.
  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("products")
  void addsTheLargestCodesWithoutOverflow(Subject subject, TensorType type) {
    assumeTrue(QuantisedRow.holds(type), type + " has no codes");
    int columns = 256;
    try (Backend backend = subject.open(1)) {
      for (int filling : new int[] {0x00, 0x7f, 0x80, 0xff, 0x0f, 0xf0}) {
        Tensor weights = RandomTensors.filled("w", type, 33, columns, (byte) filling, 0x1p-6f);
        for (int tokens : new int[] {1, 3, 9}) {
          var x = new float[tokens * columns];
          for (int negatives = 0; negatives < 3; negatives++) {
            for (int i = 0; i < x.length; i++) {
              x[i] = negatives == 0 || (negatives == 1 && i % 2 == 0) ? 1 : -1;
            }
            assertProduct(backend, weights, x, tokens);
          }
        }
      }
    }
  }

  /// The oracle rounds activations as the backend does: what is left is single precision. A sum
  /// takes a rounding per term; with eight-bit activations only two per block of 32, behind its
  /// integers and behind its minimum. Another five are within a term: its weight's scale and
  /// offset, the product of scales, the minimum's factor, and the oracle's result.
  private static void assertProduct(Backend backend, Tensor weights, float[] x, int tokens) {
    int rows = weights.rows();
    int columns = weights.columns();
    boolean codes = QuantisedRow.holds(weights.type());
    boolean byBlocks = codes && backend.activationFormat() == ActivationFormat.EIGHT_BIT;
    int roundings = (byBlocks ? columns / 16 : columns) + 5;
    float[] actual = backend.primitives().multiply(weights, x, tokens);
    float[] expected;
    try (Backend oracle = ScalarBackend.roundingAs(backend)) {
      expected = oracle.primitives().multiply(weights, x, tokens);
    }
    assertEquals(tokens * rows, actual.length);
    for (int row = 0; row < rows; row++) {
      double[] w = magnitudes(weights, row);
      for (int token = 0; token < tokens; token++) {
        double terms = 0;
        for (int i = 0; i < columns; i++) {
          terms += w[i] * Math.abs(x[token * columns + i]);
        }
        int at = token * rows + row;
        String name = "token " + token + ", row " + row;
        assertEquals(expected[at], actual[at], roundings * 0x1p-24 * terms, name);
      }
    }
  }

  /// What a row's roundings are relative to: a weight that is a code less an offset may be small
  /// while its two parts are not.
  private static double[] magnitudes(Tensor weights, int row) {
    var magnitudes = new double[weights.columns()];
    if (QuantisedRow.holds(weights.type())) {
      var codes = new QuantisedRow(weights.columns());
      codes.read(weights, row);
      for (int i = 0; i < magnitudes.length; i++) {
        int group = i / QuantisedRow.GROUP;
        magnitudes[i] =
            Math.abs(codes.scales()[group] * codes.codes()[i]) + Math.abs(codes.offsets()[group]);
      }
    } else {
      var plain = new float[weights.columns()];
      new Dequantizer(weights).row(row, plain);
      Arrays.setAll(magnitudes, i -> Math.abs(plain[i]));
    }
    return magnitudes;
  }

  @ParameterizedTest
  @MethodSource("subjects")
  void aRowOfAProductIgnoresTheRowsBesideIt(Subject subject) {
    var random = new Random(20);
    try (Backend one = subject.open(1);
        Backend two = subject.open(2)) {
      for (TensorType type : TensorType.values()) {
        Tensor weights = RandomTensors.matrix("w", type, 70, 256, 1, random);
        float[] x = RandomTensors.gaussians(29 * 256, 0, 1, random);
        float[] together = two.primitives().multiply(weights, x, 29);
        for (int token = 0; token < 29; token++) {
          float[] alone =
              one.primitives()
                  .multiply(weights, Arrays.copyOfRange(x, token * 256, (token + 1) * 256), 1);
          assertArrayEquals(
              alone,
              Arrays.copyOfRange(together, token * 70, (token + 1) * 70),
              type + ", token " + token);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("subjects")
  void normalisesByTheRootMeanSquare(Subject subject) {
    var random = new Random(21);
    try (Backend backend = subject.open(1);
        Backend oracle = new ScalarBackend()) {
      for (int width : new int[] {8, 40, 64, 576, 1000}) {
        float[] x = RandomTensors.gaussians(3 * width, 0.5, 3, random);
        float[] weight = RandomTensors.gaussians(width, 1, 0.3, random);
        float[] expected = oracle.primitives().rmsNorm(x, weight, 1e-5f);
        // The mean of squares takes a rounding per term, its root halves their effect.
        assertClose(
            expected,
            backend.primitives().rmsNorm(x, weight, 1e-5f),
            i -> (width + 8) * 0x1p-24 * Math.abs(expected[i]));
      }
    }
  }
}
