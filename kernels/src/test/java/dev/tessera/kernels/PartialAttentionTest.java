package dev.tessera.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class PartialAttentionTest {

  private static final int HEAD_DIM = 5;

  /// Every operation of a merge rounds once, to 2^-24 of its result; a chain of 64 merges of values
  /// that cancel against each other loses at most a few hundred of these.
  private static final float TOLERANCE = 500 * 0x1p-24f;

  /// Online softmax by hand: four keys in two tiles of two.
  ///
  /// ```
  ///            tile A         tile B
  /// score      0     ln 2     ln 4     ln 1
  /// value      10    20       30       40
  ///
  /// tile A     m = ln 2   weights 1/2, 1    d = 3/2    o = 10/2 + 20     = 25
  /// tile B     m = ln 4   weights 1, 1/4    d = 5/4    o = 30 + 40/4     = 40
  ///
  /// merge      m = ln 4   A shrinks by exp(ln 2 - ln 4) = 1/2
  ///            d = 3/2 · 1/2 + 5/4 = 2
  ///            o = 25  · 1/2 + 40  = 52.5
  /// result     52.5 / 2 = 26.25
  ///
  /// at once    weights 1, 2, 4, 1 of 8:  (10 + 40 + 120 + 40) / 8 = 26.25
  /// ```
  @Test
  void mergesFourKeysInTwoTilesAsByHand() {
    PartialAttention a = part(new float[] {0, ln(2)}, new float[][] {{10}, {20}});
    assertPart(ln(2), 1.5f, 25, a);
    PartialAttention b = part(new float[] {ln(4), ln(1)}, new float[][] {{30}, {40}});
    assertPart(ln(4), 1.25f, 40, b);

    a.merge(b);

    assertPart(ln(4), 2, 52.5f, a);
    var result = new float[1];
    a.write(result, 0);
    assertEquals(26.25f, result[0], 26.25f * TOLERANCE);
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
  void givesTheSameResultForAnySplitInAnyOrder(long seed) {
    var random = new Random(seed);
    int keys = 1 + random.nextInt(64);
    float[] scores = gaussians(random, keys, 10);
    float[][] values = new float[keys][];
    Arrays.setAll(values, i -> gaussians(random, HEAD_DIM, 1));
    float[] expected = softmaxOf(scores, values);

    for (int round = 0; round < 20; round++) {
      List<PartialAttention> parts = split(random, scores, values);
      Collections.shuffle(parts, random);
      assertArrayEquals(expected, result(mergeAsTree(random, parts)), TOLERANCE * 5);
    }
  }

  @Test
  void theEmptyPartChangesNoBit() {
    PartialAttention part =
        part(new float[] {0.1f, -3, 0.7f}, new float[][] {{0.3f}, {-0.0f}, {1e-30f}});
    PartialAttention copy = new PartialAttention(1);
    copy.merge(part);
    copy.merge(new PartialAttention(1));

    assertEquals(part.max(), copy.max());
    assertEquals(part.sum(), copy.sum());
    assertArrayEquals(part.values(), copy.values());
  }

  @Test
  void maskedKeysWeighNothing() {
    float masked = Float.NEGATIVE_INFINITY;
    PartialAttention part = part(new float[] {masked, masked}, new float[][] {{7}, {8}});
    part.merge(part(new float[] {masked}, new float[][] {{9}}));
    assertArrayEquals(new float[] {0}, result(part));

    part.merge(part(new float[] {-80}, new float[][] {{5}}));
    assertArrayEquals(new float[] {5}, result(part));
  }

  @Test
  void scoresFarApartNeitherOverflowNorVanish() {
    PartialAttention part = part(new float[] {-30000}, new float[][] {{1}});
    part.merge(part(new float[] {30000}, new float[][] {{2}}));
    part.merge(part(new float[] {30000}, new float[][] {{4}}));
    assertArrayEquals(new float[] {3}, result(part));
  }

  @Test
  void clearingMakesItEmpty() {
    PartialAttention part = part(new float[] {1}, new float[][] {{2}});
    part.clear();
    assertPart(Float.NEGATIVE_INFINITY, 0, 0, part);
  }

  private static float ln(double x) {
    return (float) Math.log(x);
  }

  private static void assertPart(float max, float sum, float value, PartialAttention part) {
    assertEquals(max, part.max(), TOLERANCE);
    assertEquals(sum, part.sum(), sum * TOLERANCE);
    assertEquals(value, part.values()[0], value * TOLERANCE);
  }

  /// One tile: its keys weighed against the tile's own maximum.
  private static PartialAttention part(float[] scores, float[][] values) {
    float max = Float.NEGATIVE_INFINITY;
    for (float score : scores) {
      max = Math.max(max, score);
    }
    float sum = 0;
    var weighted = new float[values[0].length];
    for (int key = 0; key < scores.length && max > Float.NEGATIVE_INFINITY; key++) {
      float weight = (float) Math.exp(scores[key] - max);
      sum += weight;
      for (int i = 0; i < weighted.length; i++) {
        weighted[i] += weight * values[key][i];
      }
    }
    var part = new PartialAttention(weighted.length);
    part.merge(max, sum, weighted, 0);
    return part;
  }

  private static List<PartialAttention> split(Random random, float[] scores, float[][] values) {
    var parts = new ArrayList<PartialAttention>();
    int from = 0;
    while (from < scores.length) {
      int to = Math.min(scores.length, from + 1 + random.nextInt(12));
      parts.add(part(Arrays.copyOfRange(scores, from, to), Arrays.copyOfRange(values, from, to)));
      if (random.nextInt(4) == 0) {
        parts.add(new PartialAttention(HEAD_DIM));
      }
      from = to;
    }
    return parts;
  }

  /// Merges neighbours at random until one is left.
  private static PartialAttention mergeAsTree(Random random, List<PartialAttention> parts) {
    var left = new ArrayList<>(parts);
    while (left.size() > 1) {
      int i = random.nextInt(left.size() - 1);
      left.get(i).merge(left.remove(i + 1));
    }
    return left.getFirst();
  }

  private static float[] softmaxOf(float[] scores, float[][] values) {
    double sum = 0;
    var weighted = new double[HEAD_DIM];
    for (int key = 0; key < scores.length; key++) {
      double weight = Math.exp(scores[key]);
      sum += weight;
      for (int i = 0; i < HEAD_DIM; i++) {
        weighted[i] += weight * values[key][i];
      }
    }
    var result = new float[HEAD_DIM];
    for (int i = 0; i < HEAD_DIM; i++) {
      result[i] = (float) (weighted[i] / sum);
    }
    return result;
  }

  private static float[] result(PartialAttention part) {
    var result = new float[part.values().length];
    part.write(result, 0);
    return result;
  }

  private static float[] gaussians(Random random, int count, float scale) {
    var x = new float[count];
    for (int i = 0; i < count; i++) {
      x[i] = scale * (float) random.nextGaussian();
    }
    return x;
  }
}
