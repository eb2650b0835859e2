package dev.tessera.kernels.testing;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.ActivationFormat;
import dev.tessera.kernels.Backend;
import dev.tessera.kernels.scalar.ScalarBackend;
import dev.tessera.kvcache.ElementType;

/// How near the logits of a backend have to be to those of the oracle that rounds where it does
/// ([ScalarBackend#roundingAs]).
///
/// Between the two lies single precision, and nothing else, until a number comes so near to the
/// middle of two roundings that it falls to the other side. That is rare (about one activation in
/// 10^5), but from there on the two are different rounded networks, in that row and in those that
/// attend to it. So most rows agree to single precision, and the others to the size of a rounding's
/// effect; sequences are to be short, or soon none are of the first kind.
///
/// Errors are the largest of a row in relation to its largest logit.
public final class Agreement {

  /// A sum of 512 terms ends about √512 roundings off.
  private static final double PRODUCT = Math.sqrt(512) * 0x1p-24;

  /// A half that falls to the other side moves an element of a key or a value by 2^-11 of itself. A
  /// head has many, but a large score moves the more.
  private static final double HALF = 0x1p-11;

  /// The step of eight bits is the largest of 32 numbers over 127, and that largest is about 2.4 of
  /// their root mean square; a rounding is off by step / √12. Two roundings are compared.
  private static final double EIGHT_BITS = Math.sqrt(2) * 2.4 / 127 / Math.sqrt(12);

  /// The worst of many rows.
  private static final double WORST = 2;

  private final boolean coarse;
  private final double exact;
  private final double bound;
  private int rows;
  private int exactRows;

  /// @param layers of the decoder; errors of products in a row add up as their squares
  /// @param quantised whether its weights are
  public Agreement(Backend backend, int layers, boolean quantised) {
    double products = Math.sqrt(4 * layers + 1); // qkv, attention output, gate and up, down; logits
    exact = WORST * products * PRODUCT;
    double half = backend.exactElement() == ElementType.F32 ? 0 : Math.sqrt(layers) * HALF;
    coarse = quantised && backend.activationFormat() == ActivationFormat.EIGHT_BIT;
    bound = WORST * Math.max(products * (coarse ? EIGHT_BITS : PRODUCT), half);
  }

  /// Judges one row.
  ///
  /// @return the largest error of a logit
  public double row(String name, float[] expected, float[] actual) {
    double error = 0;
    double largest = 0;
    for (int i = 0; i < expected.length; i++) {
      error = Math.max(error, Math.abs((double) expected[i] - actual[i]));
      largest = Math.max(largest, Math.abs(expected[i]));
    }
    assertTrue(
        error <= bound * largest,
        "%s is off by %s of %s; the bound is %s".formatted(name, error, largest, bound));
    rows++;
    exactRows += error <= exact * largest ? 1 : 0;
    return error;
  }

  /// Judges all rows together: whether those on which no rounding of eight bits fell to the other
  /// side are as many as they should be.
  public void finish() {
    assertTrue(
        !coarse || 2 * exactRows >= rows,
        "only %d of %d rows agree to single precision".formatted(exactRows, rows));
  }
}
