package dev.tessera.kernels;

import static dev.tessera.kernels.testing.Closeness.assertClose;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

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
            assertProduct(weights, x, tokens, backend.primitives().multiply(weights, x, tokens));
          }
        }
      }
    }
  }

  /// A backend may round activations to eight bits in groups of 32 of a row, to the nearest: that
  /// moves x by at most 1/254 of the group's largest. Everything else is single precision; a scale
  /// per group adds a few roundings to the one per term.
  private static void assertProduct(Tensor weights, float[] x, int tokens, float[] actual) {
    float[] w = Dequantizer.all(weights);
    int rows = weights.rows();
    int columns = weights.columns();
    boolean mayQuantise = QuantisedRow.holds(weights.type());
    assertEquals(tokens * rows, actual.length);
    for (int token = 0; token < tokens; token++) {
      for (int row = 0; row < rows; row++) {
        double sum = 0;
        double terms = 0;
        double quantisation = 0;
        for (int first = 0; first < columns; first += 32) {
          double largest = 0;
          double magnitudes = 0;
          for (int i = first; i < Math.min(columns, first + 32); i++) {
            double weight = w[row * columns + i];
            double value = x[token * columns + i];
            sum += weight * value;
            terms += Math.abs(weight * value);
            magnitudes += Math.abs(weight);
            largest = Math.max(largest, Math.abs(value));
          }
          quantisation += largest * magnitudes / 254;
        }
        double tolerance =
            (columns + 16) * 0x1p-24 * (terms + quantisation) + (mayQuantise ? quantisation : 0);
        assertEquals(sum, actual[token * rows + row], tolerance, "token " + token + ", row " + row);
      }
    }
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
