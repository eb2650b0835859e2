package dev.tessera.kernels.codec;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class SpectralAllocationTest {
  private static final int CHANNELS = 16;

  /// Variances of a head whose groups have the given ones.
  private static double[] head(double... groups) {
    var variances = new double[CHANNELS * groups.length];
    for (int i = 0; i < variances.length; i++) {
      variances[i] = groups[i / CHANNELS];
    }
    return variances;
  }

  @Test
  void aHeadWhoseScoresSpreadWiderGetsMoreOfTheLayersBits() {
    List<int[]> widths = SpectralCodes.allocate(List.of(head(100, 100), head(1, 1), head(1, 1)), 3);
    assertEquals(18, widths.stream().flatMapToInt(Arrays::stream).sum());
    assertArrayEquals(new int[] {5, 5}, widths.get(0));
    assertArrayEquals(new int[] {2, 2}, widths.get(1));
    assertArrayEquals(new int[] {2, 2}, widths.get(2));
  }

  @Test
  void headsThatAreAlikeShareAlike() {
    for (double width : new double[] {2, 3, 4}) {
      List<int[]> widths =
          SpectralCodes.allocate(List.of(head(9, 3, 1, 0.2), head(9, 3, 1, 0.2)), width);
      assertArrayEquals(widths.get(0), widths.get(1));
      assertArrayEquals(
          SpectralCodes.allocate(List.of(head(9, 3, 1, 0.2)), width).getFirst(), widths.get(0));
    }
  }

  /// Each bit takes less error away than the one before, so that the greedy choice is the best one:
  /// no other division of the bits leaves less error.
  @ParameterizedTest
  @CsvSource({"1, 2", "2, 3", "3, 4", "4, 2.5", "5, 1"})
  void noOtherDivisionLeavesLessError(int seed, double width) {
    var random = new SplittableRandom(seed);
    var groups = new double[2][2];
    for (double[] head : groups) {
      double first = Math.exp(4 * random.nextDouble());
      head[0] = first;
      head[1] = first * random.nextDouble(1e-3, 1);
    }
    List<int[]> widths = SpectralCodes.allocate(List.of(head(groups[0]), head(groups[1])), width);
    int bits = (int) (4 * width);
    double least = Double.MAX_VALUE;
    for (int division = 0; division < 7 * 7 * 7 * 7; division++) {
      int[] w = {division % 7, division / 7 % 7, division / 49 % 7, division / 343};
      if (Arrays.stream(w).sum() == bits) {
        least = Math.min(least, error(groups, w));
      }
    }
    int[] w = {widths.get(0)[0], widths.get(0)[1], widths.get(1)[0], widths.get(1)[1]};
    assertEquals(bits, Arrays.stream(w).sum());
    assertEquals(least, error(groups, w), 1e-12 * least);
  }

  private static double error(double[][] groups, int[] widths) {
    double sum = 0;
    for (int i = 0; i < widths.length; i++) {
      sum += groups[i / 2][i % 2] * LloydMax.error(LloydMax.bounds(widths[i]));
    }
    return sum;
  }

  @Test
  void noGroupGetsMoreThanACodeHas() {
    List<int[]> widths = SpectralCodes.allocate(List.of(head(1e12, 1), head(1, 1)), 3);
    assertEquals(LloydMax.MAX_WIDTH, widths.getFirst()[0]);
    assertEquals(12, widths.stream().flatMapToInt(Arrays::stream).sum());
  }

  /// A last group of 8 channels takes half of the bits of another.
  @Test
  void countsChannelsNotGroups() {
    var variances = new double[40];
    Arrays.fill(variances, 1);
    int[] widths = SpectralCodes.allocate(List.of(variances), 2).getFirst();
    assertTrue(16 * (widths[0] + widths[1]) + 8 * widths[2] <= 80, Arrays.toString(widths));
    assertArrayEquals(new int[] {2, 2, 2}, widths);
  }

  @ParameterizedTest
  @ValueSource(doubles = {-1, 6.5, Double.NaN})
  void refusesWidthsThatNoCodeHas(double width) {
    assertThrows(
        IllegalArgumentException.class, () -> SpectralCodes.allocate(List.of(head(1, 1)), width));
  }
}
