package dev.tessera.models.calibration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.RopeSpec;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// The sums against the textbook: the same figures from all keys at once.
final class KeyMomentsTest {

  private static final int BLOCK = 64;
  private static final int[] TEXTS = {200, 130};

  static List<RopeSpec> ropes() {
    return List.of(
        new RopeSpec(RopeSpec.Pairing.INTERLEAVED, new double[] {1, 0.1, 0.01, 0.001}, 1),
        new RopeSpec(RopeSpec.Pairing.SPLIT, new double[] {1, 0.05, 0.002}, 1),
        new RopeSpec(RopeSpec.Pairing.INTERLEAVED, new double[] {0.7, 0.003}, 1.3f));
  }

  private static final int DIM = 8;

  /// Keys before RoPE, with an offset; some directions vary more than others.
  private static double[][] keys(int count, double offset, Random random) {
    var keys = new double[count][DIM];
    for (double[] key : keys) {
      for (int i = 0; i < DIM; i++) {
        key[i] = random.nextGaussian() / (1 + i) + offset * (i % 3 - 1);
      }
    }
    return keys;
  }

  private static double[] rotated(double[] x, RopeSpec rope, int position) {
    double[] y = x.clone();
    int pairs = rope.frequencies().length;
    for (int pair = 0; pair < pairs; pair++) {
      boolean interleaved = rope.pairing() == RopeSpec.Pairing.INTERLEAVED;
      int a = interleaved ? 2 * pair : pair;
      int b = interleaved ? a + 1 : a + pairs;
      double angle = position * rope.frequencies()[pair];
      y[a] = (x[a] * Math.cos(angle) - x[b] * Math.sin(angle)) * rope.magnitude();
      y[b] = (x[a] * Math.sin(angle) + x[b] * Math.cos(angle)) * rope.magnitude();
    }
    return y;
  }

  private record Sums(KeyMoments moments, TurnMoments turns, double[] mean, double[][] left) {}

  private static Sums sums(RopeSpec rope, double offset) {
    var random = new Random(9);
    var rotation = new Rotation(rope);
    var moments = new KeyMoments(rotation, DIM);
    double[][][] texts =
        Arrays.stream(TEXTS).mapToObj(n -> keys(n, offset, random)).toArray(double[][][]::new);
    var mean = new double[DIM];
    for (double[][] text : texts) {
      for (int t = 0; t < text.length; t++) {
        for (int i = 0; i < DIM; i++) {
          mean[i] += text[t][i] / Arrays.stream(TEXTS).sum();
        }
        var vector = new float[DIM + 1];
        double[] key = rotated(text[t], rope, t);
        for (int i = 0; i < DIM; i++) {
          vector[i + 1] = (float) key[i];
        }
        moments.addKey(vector, 1, t, rotation.turns(t));
        moments.addQuery(vector, 1);
      }
    }
    int[] tiles = Arrays.stream(TEXTS).map(n -> n / BLOCK).toArray();
    return new Sums(moments, new TurnMoments(rotation, tiles), mean, left(texts, mean, rope));
  }

  /// The covariance of the keys within their tiles, without the turned mean.
  private static double[][] left(double[][][] texts, double[] mean, RopeSpec rope) {
    var sum = new double[DIM][DIM];
    int count = 0;
    for (double[][] text : texts) {
      for (int first = 0; first + BLOCK <= text.length; first += BLOCK) {
        var tile = new double[BLOCK][DIM];
        for (int t = 0; t < BLOCK; t++) {
          var key = new double[DIM];
          for (int i = 0; i < DIM; i++) {
            key[i] = text[first + t][i] - mean[i];
          }
          tile[t] = rotated(key, rope, first + t);
          for (int i = 2 * rope.frequencies().length; i < DIM; i++) {
            tile[t][i] = text[first + t][i]; // what never turns is left to the tile's mean
          }
        }
        count += BLOCK;
        for (int i = 0; i < DIM; i++) {
          for (int j = 0; j < DIM; j++) {
            double a = 0;
            double b = 0;
            for (double[] key : tile) {
              a += key[i] / BLOCK;
              b += key[j] / BLOCK;
            }
            for (double[] key : tile) {
              sum[i][j] += (key[i] - a) * (key[j] - b);
            }
          }
        }
      }
    }
    for (double[] row : sum) {
      for (int j = 0; j < DIM; j++) {
        row[j] /= count;
      }
    }
    return sum;
  }

  @ParameterizedTest
  @MethodSource("ropes")
  void sumsWhatTheTextbookSums(RopeSpec rope) {
    Sums sums = sums(rope, 3);
    double[] mean = sums.moments.mean();
    double[][] left = sums.moments.keyMoments(mean, sums.turns);
    for (int i = 0; i < DIM; i++) {
      // Keys arrive as floats of size 3: 2^-24 of that each, and the mean may lie as far off.
      assertEquals(sums.mean[i], mean[i], 1e-6);
      for (int j = 0; j < DIM; j++) {
        assertEquals(sums.left[i][j], left[i][j], 1e-5);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("ropes")
  void takesAMeanOutWhereThatPaysAndOnlyThere(RopeSpec rope) {
    var rotation = new Rotation(rope);
    Sums biased = sums(rope, 3);
    Sums plain = sums(rope, 0);
    float[] mean = LearnedKeys.of(biased.moments, rotation, biased.turns, 4096).mean();
    assertNotNull(mean);
    assertEquals(biased.mean[0], mean[0], 1e-6);
    assertNull(LearnedKeys.of(plain.moments, rotation, plain.turns, 4096).mean());
  }

  /// Channels come uncorrelated, in falling order, and a key comes back from them.
  @ParameterizedTest
  @MethodSource("ropes")
  void balancesTheBasis(RopeSpec rope) {
    Sums sums = sums(rope, 3);
    LearnedKeys learned = LearnedKeys.of(sums.moments, new Rotation(rope), sums.turns, 4096);
    for (int i = 0; i < DIM; i++) {
      assertTrue(learned.lambda()[i] > 0);
      assertTrue(i == 0 || learned.lambda()[i] <= learned.lambda()[i - 1]);
      for (int j = 0; j < DIM; j++) {
        double identity = 0;
        for (int k = 0; k < DIM; k++) {
          identity += (double) learned.forward()[i * DIM + k] * learned.inverse()[k * DIM + j];
        }
        assertEquals(i == j ? 1 : 0, identity, 1e-4); // floats; the condition is below 300
      }
    }
  }

  /// Averaged over the context, moments do not know positions any more: turning them changes
  /// little, as far as the 64 positions of the average go.
  @ParameterizedTest
  @MethodSource("ropes")
  void averagesOverPositionsKeepingTheTrace(RopeSpec rope) {
    double[][] moments = sums(rope, 3).moments.keyMoments();
    double[][] averaged = new Rotation(rope).averaged(moments, 100_000);
    double before = 0;
    double after = 0;
    for (int i = 0; i < DIM; i++) {
      before += moments[i][i];
      after += averaged[i][i];
    }
    assertEquals(before, after, 1e-9 * before);
    var rotation = new Rotation(rope);
    for (int pair = 0; pair < rotation.pairs(); pair++) {
      int a = rotation.first(pair);
      int b = rotation.second(pair);
      double size = averaged[a][a] + averaged[b][b];
      assertEquals(0, averaged[a][b], 0.25 * size); // 64 random angles: 1/8 of it, two deviations
    }
  }
}
