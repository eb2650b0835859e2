package dev.tessera.kernels.testing;

import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.codec.PairCodes;
import dev.tessera.kernels.codec.PairTable;
import dev.tessera.kernels.codec.PlainCodes;
import dev.tessera.kernels.codec.SpectralCodes;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.codec.Turn;
import dev.tessera.kvcache.CodedFormat.Coding;
import dev.tessera.kvcache.CodedFormat.Role;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// One of every kind of code, with learned parts drawn from a seed.
public final class SampleCodes {

  /// Head dimensions with a block of their own, with several, and with a last group of 8 channels.
  public static final int[] HEAD_DIMS = {8, 40, 64, 80, 96, 128, 256};

  private SampleCodes() {}

  /// Codes of one tile by age: a single one, or the rungs of a ladder.
  public record Ladder(String name, List<TileCode> codes) {
    @Override
    public String toString() {
      return name;
    }
  }

  /// Every kind of code for keys.
  public static List<Ladder> keys(int headDim) {
    var ladders = new ArrayList<>(plain(Role.KEY, headDim, null));
    Turn split = turn(headDim, RopeSpec.Pairing.SPLIT, headDim, 1);
    Turn partial = turn(headDim, RopeSpec.Pairing.INTERLEAVED, headDim / 2, 1.2f);
    ladders.add(single("turned i8", PlainCodes.i8(Role.KEY, headDim, split)));
    ladders.add(single("turned p4", PlainCodes.planes(Role.KEY, headDim, 4, 0, split)));
    ladders.add(single("turned p3+2", PlainCodes.planes(Role.KEY, headDim, 3, 2, partial)));
    ladders.add(
        new Ladder(
            "p4+1 to p2+1", PlainCodes.ladder(Role.KEY, headDim, 4, List.of(4, 2), 1, null)));
    SpectralCodes.Spectrum even = spectrum(headDim, false);
    SpectralCodes.Spectrum skewed = spectrum(headDim, true);
    for (int width = 2; width <= 4; width++) {
      ladders.add(new Ladder("s" + width, SpectralCodes.ladder(even, width, List.of(0), 0, null)));
    }
    ladders.add(new Ladder("s3+1 skewed", SpectralCodes.ladder(skewed, 3, List.of(0), 1, split)));
    ladders.add(
        new Ladder(
            "s4+1 to s2+1 skewed", SpectralCodes.ladder(skewed, 4, List.of(0, 1, 2), 1, partial)));
    ladders.add(new Ladder("s1.5", SpectralCodes.ladder(even, 1.5, List.of(0), 0, null)));
    ladders.addAll(unnestedKeys(headDim));
    return ladders;
  }

  /// Those of them that are no rungs of a ladder.
  public static List<Ladder> unnestedKeys(int headDim) {
    Turn split = turn(headDim, RopeSpec.Pairing.SPLIT, headDim, 1);
    Turn partial = turn(headDim, RopeSpec.Pairing.INTERLEAVED, headDim / 2, 1.2f);
    SpectralCodes.Spectrum skewed = spectrum(headDim, true);
    List<Ladder> ladders = pairs(Role.KEY, headDim, split);
    ladders.add(single("lr2", SpectralCodes.lowRank(skewed, 2, 0, null)));
    ladders.add(single("turned lr3+1", SpectralCodes.lowRank(skewed, 3, 1, split)));
    for (int width = 2; width <= 4; width++) {
      ladders.add(single("c" + width, PlainCodes.channels(headDim, width, null)));
    }
    ladders.add(single("turned c4", PlainCodes.channels(headDim, 4, split)));
    ladders.add(single("turned c3", PlainCodes.channels(headDim, 3, partial)));
    return ladders;
  }

  /// Every kind of code for values.
  public static List<Ladder> values(int headDim) {
    List<Ladder> ladders = plain(Role.VALUE, headDim, null);
    ladders.addAll(unnestedValues(headDim));
    return ladders;
  }

  /// Those of them that are no rungs of a ladder.
  public static List<Ladder> unnestedValues(int headDim) {
    return pairs(Role.VALUE, headDim, null);
  }

  private static List<Ladder> pairs(Role role, int headDim, @Nullable Turn turn) {
    var ladders = new ArrayList<Ladder>();
    for (int width = 2; width <= 3; width++) {
      TileCode universal = PairCodes.universal(role, headDim, width, turn);
      TileCode learned = PairCodes.of(role, headDim, width, skewed(universal.pairs()), turn);
      ladders.add(single(universal.format().name(), universal));
      ladders.add(single("learned " + learned.format().name(), learned));
    }
    return ladders;
  }

  /// Other codewords for each pair: bent a little.
  private static List<PairTable> skewed(List<PairTable> tables) {
    var skewed = new ArrayList<PairTable>();
    for (PairTable table : tables) {
      double bend = 0.1 + 0.2 * skewed.size() / tables.size();
      var codewords = new double[2 * table.codewords()];
      for (int i = 0; i < table.codewords(); i++) {
        codewords[2 * i] = table.step() * (table.first(i) + bend * table.second(i));
        codewords[2 * i + 1] = table.step() * table.second(i) * (1 - bend / 2);
      }
      skewed.add(PairTable.of(codewords));
    }
    return skewed;
  }

  private static List<Ladder> plain(Role role, int headDim, @Nullable Turn turn) {
    var ladders = new ArrayList<Ladder>();
    ladders.add(single("i8", PlainCodes.i8(role, headDim, turn)));
    for (int width = 1; width <= 6; width++) {
      ladders.add(single("p" + width, PlainCodes.planes(role, headDim, width, 0, turn)));
    }
    ladders.add(new Ladder("p3 of p4", PlainCodes.ladder(role, headDim, 4, List.of(3), 0, turn)));
    ladders.add(
        new Ladder("p4 to p2", PlainCodes.ladder(role, headDim, 4, List.of(4, 3, 2), 0, turn)));
    ladders.add(
        new Ladder("p5 to p3", PlainCodes.ladder(role, headDim, 5, List.of(5, 3), 0, turn)));
    return ladders;
  }

  private static Ladder single(String name, TileCode code) {
    return new Ladder(name, List.of(code));
  }

  /// A mean that turns, of a size that tells.
  public static Turn turn(int headDim, RopeSpec.Pairing pairing, int rotaryDim, float magnitude) {
    var random = new SplitMix(headDim + rotaryDim);
    var mean = new float[headDim];
    for (int i = 0; i < headDim; i++) {
      mean[i] = (float) (4 * random.gaussian());
    }
    var frequencies = new double[rotaryDim / 2];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = StrictMath.pow(10_000, -i / (double) frequencies.length);
    }
    return new Turn(mean, new RopeSpec(pairing, frequencies, magnitude));
  }

  /// Keys whose mean turns in some pairs only: in fast ones, in a few slow ones, in many of them.
  public static List<Ladder> sparselyTurned(int headDim) {
    var ladders = new ArrayList<Ladder>();
    for (RopeSpec.Pairing pairing : RopeSpec.Pairing.values()) {
      int pairs = headDim / 2;
      for (int last : new int[] {pairs / 4, pairs * 3 / 4, pairs}) {
        Turn all = turn(headDim, pairing, headDim, 1);
        float[] mean = all.mean().clone();
        for (int pair = 0; pair < pairs; pair++) {
          if (pair % 2 == 1 || pair >= last) {
            boolean isSplit = pairing == RopeSpec.Pairing.SPLIT;
            mean[isSplit ? pair : 2 * pair] = 0;
            mean[isSplit ? pair + pairs : 2 * pair + 1] = 0;
          }
        }
        TileCode code = PlainCodes.planes(Role.KEY, headDim, 4, 0, new Turn(mean, all.rope()));
        ladders.add(single("%s turned up to %d".formatted(pairing, last), code));
      }
    }
    return ladders;
  }

  /// A basis of reflections, with channels stretched between two of them if `isSkewed`.
  public static SpectralCodes.Spectrum spectrum(int headDim, boolean isSkewed) {
    var random = new SplitMix(7L * headDim);
    double[][] first = reflection(headDim, random);
    double[][] second = reflection(headDim, random);
    var forward = new float[headDim * headDim];
    var inverse = new float[headDim * headDim];
    var variances = new double[headDim];
    for (int i = 0; i < headDim; i++) {
      variances[i] = StrictMath.exp(-6.0 * i / headDim);
      for (int j = 0; j < headDim; j++) {
        double there = 0;
        double back = 0;
        for (int k = 0; k < headDim; k++) {
          double stretch = isSkewed ? 1 + 2.0 * k / headDim : 1;
          there += first[i][k] * stretch * second[k][j];
          back += second[i][k] / stretch * first[k][j];
        }
        forward[i * headDim + j] = (float) there;
        inverse[i * headDim + j] = (float) back;
      }
    }
    return new SpectralCodes.Spectrum(forward, inverse, variances);
  }

  /// I - 2 v vᵀ / |v|²: symmetric and its own inverse.
  private static double[][] reflection(int size, SplitMix random) {
    var v = new double[size];
    double square = 0;
    for (int i = 0; i < size; i++) {
      v[i] = random.gaussian();
      square += v[i] * v[i];
    }
    var matrix = new double[size][size];
    for (int i = 0; i < size; i++) {
      for (int j = 0; j < size; j++) {
        matrix[i][j] = (i == j ? 1 : 0) - 2 * v[i] * v[j] / square;
      }
    }
    return matrix;
  }

  /// Keys as a code expects them: the turning mean, a common mean, and noise of the variances that
  /// its spread says, all exact in half precision.
  ///
  /// @return `[64][headDim]`
  public static float[] tile(TileCode code, int firstPosition, long seed) {
    int headDim = code.format().shape().headDim();
    var random = new SplitMix(seed);
    var x = new float[64 * headDim];
    var mean = new double[headDim];
    for (int i = 0; i < headDim; i++) {
      boolean isCentred = code.format().centred() || code.format().coding() == Coding.CHANNELS;
      mean[i] = isCentred ? random.gaussian() : 0;
    }
    for (int token = 0; token < 64; token++) {
      var channels = new double[headDim];
      for (int i = 0; i < headDim; i++) {
        channels[i] = code.sigma()[i] * random.gaussian();
      }
      double[] vector = code.basis().inverse(channels);
      Turn turn = code.turn();
      float[] turned = turn == null ? new float[headDim] : turn.at(firstPosition + token);
      for (int i = 0; i < headDim; i++) {
        float value = (float) (vector[i] + mean[i] + turned[i]);
        x[token * headDim + i] = Float.float16ToFloat(Float.floatToFloat16(value));
      }
    }
    return x;
  }
}
