package dev.tessera.kernels.codec;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class LevelTableTest {

  /// The signal-to-noise ratios that Jayant and Noll (1984) tabulate for the Gaussian.
  @ParameterizedTest
  @CsvSource({"0, 0", "1, 4.40", "2, 9.30", "3, 14.62", "4, 20.22", "5, 26.02"})
  void hasTheErrorsOfTheLiterature(int width, double decibels) {
    assertEquals(decibels, -10 * Math.log10(LloydMax.error(LloydMax.bounds(width))), 0.01);
  }

  @Test
  void hasTheBoundsAndLevelsOfTheLiterature() {
    double[] positive = Arrays.copyOfRange(LloydMax.bounds(3), 4, 7);
    assertArrayEquals(new double[] {0.5006, 1.050, 1.748}, positive, 5e-4);
    assertArrayEquals(
        new double[] {-1.510, -0.4528, 0.4528, 1.510}, LloydMax.levels(LloydMax.bounds(2)), 5e-4);
    double[] four = LloydMax.bounds(4);
    assertEquals(2.401, four[14], 5e-4);
    assertEquals(2.733, LloydMax.levels(four)[15], 5e-4);
  }

  /// A fixed point: every bound lies halfway between its levels.
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 6})
  void restsWhereLloydsIterationRests(int width) {
    double[] bounds = LloydMax.bounds(width);
    double[] levels = LloydMax.levels(bounds);
    for (int i = 0; i < bounds.length; i++) {
      assertEquals((levels[i] + levels[i + 1]) / 2, bounds[i], 1e-10);
      assertEquals(-bounds[bounds.length - 1 - i], bounds[i], 0.0);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 6})
  void keepsEveryOtherBoundPerPlaneThatIsCut(int full) {
    LevelTable whole = LevelTable.cut(full, full);
    for (int width = 0; width <= full; width++) {
      LevelTable table = LevelTable.cut(full, width);
      int step = 1 << (full - width);
      for (int i = 0; i < table.bounds().length; i++) {
        assertEquals(whole.bounds()[(i + 1) * step - 1], table.bounds()[i]);
      }
      assertArrayEquals(whole.bounds(), table.fullBounds());
      assertArrayEquals(whole.levels(), table.fullLevels());
    }
  }

  /// The note on compression gives 0.0100, 0.0358 and 0.1194 for the compromise at 4, 3 and 2 bits:
  /// a few per cent above the best codes of those widths.
  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4})
  void losesLittleByBeingCuttable(int width) {
    double best = LloydMax.error(LloydMax.bounds(width));
    double cut = LloydMax.error(LloydMax.cut(LloydMax.cuttableBounds(4), 4, width));
    assertTrue(cut > best && cut < 1.08 * best, cut + " against " + best);
  }

  /// Levels are whole steps, off by half a step at most: of seven bits in narrow codes, four of
  /// whose products add up within sixteen.
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 6})
  void roundsLevelsToSteps(int width) {
    LevelTable table = LevelTable.of(width);
    double[] levels = LloydMax.levels(LloydMax.bounds(width));
    assertEquals(width > 4 ? 127 : 63, table.levels()[levels.length - 1]);
    for (int i = 0; i < levels.length; i++) {
      assertEquals(levels[i], table.levels()[i] * table.step(), 0.5001 * table.step());
    }
  }

  @Test
  void refusesToCutWhatHasNoPlanes() {
    assertThrows(IllegalArgumentException.class, () -> LevelTable.cut(3, 4));
    var none = new float[0];
    assertThrows(
        IllegalArgumentException.class,
        () -> new LevelTable(8, 4, none, new byte[16], 1, none, new byte[0], 1));
  }
}
