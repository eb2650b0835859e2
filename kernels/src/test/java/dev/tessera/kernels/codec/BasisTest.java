package dev.tessera.kernels.codec;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.tessera.kernels.codec.SpectralCodes.Spectrum;
import dev.tessera.kernels.testing.SampleCodes;
import dev.tessera.kernels.testing.SplitMix;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

final class BasisTest {

  static Stream<Basis> bases() {
    return IntStream.of(SampleCodes.HEAD_DIMS)
        .boxed()
        .flatMap(
            headDim ->
                Stream.of(
                    new Basis.Hadamard(headDim),
                    learned(SampleCodes.spectrum(headDim, false)),
                    learned(SampleCodes.spectrum(headDim, true))));
  }

  private static Basis learned(Spectrum spectrum) {
    return SpectralCodes.ladder(spectrum, 3, List.of(0), 0, null).getFirst().basis();
  }

  /// Sums of headDim products in single precision, whose size is that of the vector.
  @ParameterizedTest
  @MethodSource("bases")
  void takesAVectorThereAndBack(Basis basis) {
    float[] x = vector(basis.headDim(), 1);
    double[] back = basis.inverse(doubles(basis.forward(x)));
    assertArrayEquals(doubles(x), back, basis.headDim() * 3 * 0x1p-23);
  }

  @ParameterizedTest
  @MethodSource("bases")
  void keepsTheScoreOfAQuery(Basis basis) {
    float[] x = vector(basis.headDim(), 2);
    double[] q = doubles(vector(basis.headDim(), 3));
    double expected = dot(q, doubles(x));
    double actual = dot(basis.query(q), doubles(basis.forward(x)));
    assertEquals(expected, actual, basis.headDim() * 20 * 0x1p-23);
  }

  /// 40 = 32 + 8: a channel of one block says nothing about another block's.
  @Test
  void mixesInBlocksOfPowersOfTwo() {
    var x = new float[40];
    x[35] = 1;
    float[] y = new Basis.Hadamard(40).forward(x);
    for (int i = 0; i < 40; i++) {
      assertEquals(i < 32 ? 0 : 1 / Math.sqrt(8), Math.abs(y[i]), 1e-7);
    }
  }

  private static float[] vector(int headDim, long seed) {
    var random = new SplitMix(seed);
    var x = new float[headDim];
    for (int i = 0; i < headDim; i++) {
      x[i] = (float) random.gaussian();
    }
    return x;
  }

  private static double[] doubles(float[] x) {
    return IntStream.range(0, x.length).mapToDouble(i -> x[i]).toArray();
  }

  private static double dot(double[] a, double[] b) {
    return IntStream.range(0, a.length).mapToDouble(i -> a[i] * b[i]).sum();
  }
}
