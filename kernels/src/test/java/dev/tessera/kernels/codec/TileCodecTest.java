package dev.tessera.kernels.codec;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.testing.RandomTensors;
import dev.tessera.kernels.testing.SampleCodes;
import dev.tessera.kernels.testing.SampleCodes.Ladder;
import dev.tessera.kernels.testing.SplitMix;
import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.CodedFormat.Coding;
import dev.tessera.kvcache.CodedFormat.Role;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

final class TileCodecTest {

  private static final int TOKENS = 64;
  private static final double HALF = 0x1p-11; // the rounding of a scale

  static Stream<Arguments> ladders() {
    return IntStream.of(SampleCodes.HEAD_DIMS)
        .boxed()
        .flatMap(
            headDim ->
                Stream.of(SampleCodes.keys(headDim), SampleCodes.values(headDim))
                    .flatMap(List::stream)
                    .map(ladder -> Arguments.of(headDim, ladder)));
  }

  static Stream<Arguments> codes() {
    return ladders()
        .flatMap(
            arguments ->
                ((Ladder) arguments.get()[1])
                    .codes().stream().map(code -> Arguments.of(arguments.get()[0], code)));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3, 4, 5, 6, 8})
  void packsEveryWidth(int width) {
    for (int headDim : new int[] {8, 16, 40}) {
      for (Role role : Role.values()) {
        var format = format(role, headDim, width);
        var tile = MemorySegment.ofArray(new byte[(int) format.tileBytes()]);
        var random = new Random(width);
        for (int group = 0; group < format.groups(); group++) {
          var codes = new byte[CodeStream.length(format, group)];
          for (int i = 0; i < codes.length; i++) {
            codes[i] = (byte) (width == 8 ? random.nextInt(-127, 128) : random.nextInt(1 << width));
          }
          CodeStream.write(format, group, codes, tile, 0);
          assertArrayEquals(codes, CodeStream.read(format, group, tile, 0));
        }
      }
    }
  }

  /// The rule of the packing, byte by byte, for four and for three bits.
  @Test
  void packsNibblesAndCrumbsInUnitsOf32Bytes() {
    var four = format(Role.KEY, 16, 4);
    var codes = new byte[1024];
    Arrays.setAll(new int[1024], i -> codes[i] = (byte) (i * 7 % 16));
    var tile = MemorySegment.ofArray(new byte[(int) four.tileBytes()]);
    CodeStream.write(four, 0, codes, tile, 0);
    for (int i = 0; i < 32; i++) {
      int packed = tile.get(ValueLayout.JAVA_BYTE, 5 * 32 + i) & 0xff;
      assertEquals(codes[5 * 64 + i] | codes[5 * 64 + 32 + i] << 4, packed);
    }
    var three = format(Role.KEY, 16, 3);
    Arrays.setAll(new int[1024], i -> codes[i] = (byte) (i * 5 % 8));
    CodeStream.write(three, 0, codes, tile, 0);
    for (int i = 0; i < 32; i++) {
      int crumbs = 0;
      for (int k = 0; k < 4; k++) {
        crumbs |= (codes[128 + 32 * k + i] >> 1) << 2 * k;
      }
      assertEquals(crumbs, tile.get(ValueLayout.JAVA_BYTE, 32 + i) & 0xff);
      int bits = 0;
      for (int k = 0; k < 8; k++) {
        bits |= (codes[256 + 32 * k + i] & 1) << k;
      }
      assertEquals(bits, tile.get(ValueLayout.JAVA_BYTE, 256 + 32 + i) & 0xff);
    }
  }

  /// What a decoded vector is off by, in relation to what the code spreads over its channels, is
  /// what its bits cost: more than a quarter of the worst channel's error would be a mistake.
  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("codes")
  void decodesWhatWasEncoded(int headDim, TileCode code) {
    float[] x = SampleCodes.tile(code, 640, 1);
    double[] decoded = decode(code, encode(code, x, 640), 640);
    double error = 0;
    double size = 0;
    for (int token = 0; token < TOKENS; token++) {
      float[] missed = new float[headDim];
      float[] signal = new float[headDim];
      float[] turned = code.turn() == null ? new float[headDim] : code.turn().at(640 + token);
      for (int i = 0; i < headDim; i++) {
        missed[i] = (float) (decoded[token * headDim + i] - x[token * headDim + i]);
        signal[i] = x[token * headDim + i] - turned[i];
      }
      error += square(code.basis().forward(missed));
      size += square(code.basis().forward(signal));
    }
    double expected = expectedError(code);
    // A mean takes 1/64 of the noise with it, and costs its own rounding; 8 channels vary more.
    double slack = headDim < 40 ? 1.6 : 1.25;
    assertTrue(
        error / (TOKENS * headDim) <= slack * expected + 1e-4,
        error / (TOKENS * headDim) + " against " + expected + " of " + size);
  }

  /// The error per element of a Gaussian with the code's spread, by the theory of the level tables.
  private static double expectedError(TileCode code) {
    double error = 0;
    int headDim = code.format().shape().headDim();
    if (code.format().coding() == Coding.CHANNELS) {
      return square(code.sigma()) / headDim * distortion(code.format().widths().getFirst());
    }
    for (PairTable table : code.pairs()) {
      double distortion = distortion(table);
      error += 2 * distortion / (1 - distortion);
    }
    for (int i = 0; i < headDim && !code.tables().isEmpty(); i++) {
      LevelTable table = code.tables().get(i / CodedFormat.GROUP_CHANNELS);
      double variance = code.sigma()[i] * code.sigma()[i];
      double distortion = distortion(table);
      error += variance * distortion / Math.max(1 - distortion, 0.1);
    }
    return error / headDim;
  }

  /// Of even steps over the range of 64 numbers, whose square is 22.9 on average.
  private static double distortion(int width) {
    return 22.9 / 12 / Math.pow((1 << width) - 1, 2);
  }

  /// The mean squared error of a channel, by trial.
  private static double distortion(PairTable table) {
    var random = new SplitMix(15);
    double error = 0;
    int trials = 10_000;
    for (int i = 0; i < trials; i++) {
      float x = (float) random.gaussian();
      float y = (float) random.gaussian();
      int nearest = table.nearest(x, y);
      error += Math.pow(x - table.first(nearest) * table.step(), 2);
      error += Math.pow(y - table.second(nearest) * table.step(), 2);
    }
    return error / trials / 2;
  }

  /// Pairs pack the plane: their error is some per cent below that of the best code of single
  /// channels (Zador's bound for the plane, 4 bits and 6 bits: 0.926 of it where codes are fine).
  @ParameterizedTest
  @ValueSource(ints = {2, 3})
  void universalPairsAreBetterThanSingleChannels(int width) {
    double single = LloydMax.error(LloydMax.bounds(width));
    double pairs = distortion(GaussianPairs.table(width));
    assertTrue(pairs < 0.97 * single && pairs > 0.8 * single, pairs + " of " + single);
  }

  private static double distortion(LevelTable table) {
    if (table.width() == 8) {
      return 4.0 * 4.0 / 127 / 127 / 12 + 1e-5; // four deviations in 127 steps
    }
    var bounds = new double[table.bounds().length];
    Arrays.setAll(bounds, i -> table.bounds()[i]);
    return LloydMax.error(bounds) + table.step() * table.step() / 12;
  }

  /// An unbiased scale makes the error of a code with distortion D the fraction D / (1 - D) of the
  /// signal. 32 tiles of 16,384 numbers measure it to less than 1 %; the levels' rounding is half a
  /// step. The theory is an upper bound: a vector of unit size has lighter tails than the Gaussian,
  /// which takes a few per cent off the finest codes.
  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 5, 6})
  void hasTheErrorOfTheTheory(int width) {
    TileCode code = PlainCodes.planes(Role.VALUE, 256, width, 0, null);
    double error = 0;
    double size = 0;
    for (int seed = 0; seed < 32; seed++) {
      float[] x = RandomTensors.gaussians(TOKENS * 256, 0, 1, new Random(seed));
      double[] decoded = decode(code, encode(code, x, 0), 0);
      for (int i = 0; i < x.length; i++) {
        error += (decoded[i] - x[i]) * (decoded[i] - x[i]);
        size += (double) x[i] * x[i];
      }
    }
    double distortion = distortion(code.tables().getFirst());
    double expected = distortion / (1 - distortion);
    assertTrue(error / size < 1.01 * expected, error / size + " against " + expected);
    assertTrue(error / size > 0.95 * expected, error / size + " against " + expected);
  }

  /// The projection of the decoded vector on the vector is the vector.
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 6})
  void isUnbiased(int width) {
    for (int headDim : SampleCodes.HEAD_DIMS) {
      TileCode code = PlainCodes.planes(Role.VALUE, headDim, width, 0, null);
      float[] x = SampleCodes.tile(code, 0, 5);
      double[] decoded = decode(code, encode(code, x, 0), 0);
      for (int token = 0; token < TOKENS; token++) {
        double square = 0;
        double product = 0;
        for (int i = token * headDim; i < (token + 1) * headDim; i++) {
          square += (double) x[i] * x[i];
          product += x[i] * decoded[i];
        }
        assertEquals(square, product, 1.01 * HALF * square);
      }
    }
  }

  /// Cut codes are shifted codes, and the new scale keeps the old vector's projection: `<z, z'> =
  /// |z|²`.
  static Stream<Arguments> laddersOfTokens() {
    return ladders()
        .filter(
            arguments ->
                ((Ladder) arguments.get()[1]).codes().getFirst().format().coding()
                    == Coding.TOKENS);
  }

  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("laddersOfTokens")
  void cutsByShiftingCodesAndRewritingScales(int headDim, Ladder ladder) {
    TileCode whole = ladder.codes().getFirst().uncut();
    float[] x = SampleCodes.tile(whole, 128, 9);
    for (TileCode code : ladder.codes()) {
      MemorySegment full = encode(whole, x, 128);
      MemorySegment cut = encode(code, x, 128);
      var again = MemorySegment.ofArray(new byte[(int) code.format().tileBytes()]);
      TileCodec.cut(whole, full, 0, code, again, 0);
      assertEquals(-1, cut.mismatch(again));
      for (int group = 0; group < code.format().groups(); group++) {
        byte[] before = CodeStream.read(whole.format(), group, full, 0);
        byte[] after = CodeStream.read(code.format(), group, cut, 0);
        int shift = whole.format().widths().get(group) - code.format().widths().get(group);
        for (int i = 0; i < before.length; i++) {
          assertEquals(before[i] >> shift, after[i]);
        }
      }
      double[] z = channels(whole, full);
      double[] cutZ = channels(code, cut);
      for (int token = 0; token < TOKENS; token++) {
        double square = 0;
        double product = 0;
        for (int i = 0; i < headDim; i++) {
          if (code.format().widths().get(i / CodedFormat.GROUP_CHANNELS) > 0) {
            square += z[token * headDim + i] * z[token * headDim + i];
            product += z[token * headDim + i] * cutZ[token * headDim + i];
          }
        }
        assertEquals(square, product, 1.1 * HALF * square);
      }
    }
  }

  /// The channels of a tile as they are read, with their tokens' scales: `[64][headDim]`.
  private static double[] channels(TileCode code, MemorySegment tile) {
    CodedFormat format = code.format();
    int headDim = format.shape().headDim();
    var z = new double[TOKENS * headDim];
    for (int group = 0; group < format.groups(); group++) {
      byte[] codes = CodeStream.read(format, group, tile, 0);
      LevelTable table = code.tables().get(group);
      for (int token = 0; token < TOKENS; token++) {
        short half = tile.get(ValueLayout.JAVA_SHORT_UNALIGNED, format.scalesOffset() + 2L * token);
        double scale = Float.float16ToFloat(half) * table.step();
        for (int i = 0; i < format.groupChannels(group); i++) {
          int channel = group * CodedFormat.GROUP_CHANNELS + i;
          int level = table.level(codes[format.streamIndex(group, token, i)]);
          z[token * headDim + channel] = level * scale * code.sigma()[channel];
        }
      }
    }
    return z;
  }

  @Test
  void refusesToCutToMoreBitsOrToAnotherCode() {
    List<TileCode> ladder = PlainCodes.ladder(Role.KEY, 64, 4, List.of(4, 3), 0, null);
    TileCode own = PlainCodes.planes(Role.KEY, 64, 3, 0, null);
    MemorySegment tile = encode(ladder.get(1), new float[64 * 64], 0);
    for (TileCode to : List.of(ladder.get(0), own)) {
      assertThrows(
          IllegalArgumentException.class, () -> TileCodec.cut(ladder.get(1), tile, 0, to, tile, 0));
    }
    assertTrue(ladder.get(0).canBeCutTo(ladder.get(1)));
  }

  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("codes")
  void keepsZeros(int headDim, TileCode code) {
    var x = new float[TOKENS * headDim];
    double[] decoded = decode(code, encode(code, x, 0), 0);
    if (code.turn() == null) {
      assertArrayEquals(new double[x.length], decoded, 0);
    } else {
      assertTrue(Arrays.stream(decoded).allMatch(Double::isFinite));
    }
  }

  /// A tile of one vector is its mean, stored in 127 steps; what the mean misses is coded.
  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4})
  void keepsTheMeanOfATile(int width) {
    for (int headDim : SampleCodes.HEAD_DIMS) {
      TileCode code = PlainCodes.planes(Role.KEY, headDim, width, 0, null);
      var x = new float[TOKENS * headDim];
      float largest = 0;
      for (int i = 0; i < x.length; i++) {
        x[i] = (i % headDim - 3) * 0.5f;
        largest = Math.max(largest, Math.abs(x[i]));
      }
      double[] decoded = decode(code, encode(code, x, 0), 0);
      double step = largest / 127 * (1 + HALF);
      for (int token = 0; token < TOKENS; token++) {
        double error = 0;
        for (int i = token * headDim; i < (token + 1) * headDim; i++) {
          error += (decoded[i] - x[i]) * (decoded[i] - x[i]);
        }
        assertTrue(error <= headDim * step * step / 4, "off by " + error);
      }
    }
  }

  /// Keys that are one vector before RoPE leave nothing to be coded.
  @ParameterizedTest
  @CsvSource({"SPLIT, 1", "SPLIT, 1.2", "INTERLEAVED, 1", "INTERLEAVED, 0.9"})
  void takesOutAMeanThatTurns(RopeSpec.Pairing pairing, float magnitude) {
    for (int headDim : SampleCodes.HEAD_DIMS) {
      for (int rotaryDim : new int[] {headDim, headDim / 2}) {
        Turn turn = SampleCodes.turn(headDim, pairing, rotaryDim, magnitude);
        TileCode code = PlainCodes.planes(Role.KEY, headDim, 2, 0, turn);
        int first = 64 * 1000;
        var x = new float[TOKENS * headDim];
        for (int token = 0; token < TOKENS; token++) {
          System.arraycopy(turn.at(first + token), 0, x, token * headDim, headDim);
        }
        double[] decoded = decode(code, encode(code, x, first), first);
        for (int i = 0; i < x.length; i++) {
          assertEquals(x[i], decoded[i]);
        }
      }
    }
  }

  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("codes")
  void keepsSparedTokensAsTheyWere(int headDim, TileCode code) {
    float[] x = SampleCodes.tile(code, 192, 11);
    int outlier = 37;
    for (int i = 0; i < headDim; i += 3) {
      x[outlier * headDim + i] = 300;
    }
    MemorySegment tile = encode(code, x, 192);
    double[] decoded = decode(code, tile, 192);
    int previous = -1;
    boolean hasOutlier = code.format().spared() == 0;
    for (int n = 0; n < code.format().spared(); n++) {
      int token = tile.get(ValueLayout.JAVA_BYTE, code.format().spareIndexOffset() + n);
      assertTrue(token > previous && token < TOKENS);
      for (int i = token * headDim; i < (token + 1) * headDim; i++) {
        assertEquals(x[i], decoded[i]);
      }
      hasOutlier |= token == outlier;
      previous = token;
    }
    assertTrue(hasOutlier, "the worst token is spared");
  }

  /// Nothing that a tile can hold makes anything infinite, and a value's outlier stays its own
  /// token's trouble.
  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("codes")
  void staysFinite(int headDim, TileCode code) {
    float[] x = SampleCodes.tile(code, 0, 12);
    double[] calm = decode(code, encode(code, x, 0), 0);
    x[5 * headDim + 1] = 60_000;
    double[] decoded = decode(code, encode(code, x, 0), 0);
    assertTrue(Arrays.stream(decoded).allMatch(Double::isFinite));
    if (code.format().role() == Role.VALUE) {
      for (int i = 0; i < x.length; i++) {
        if (i / headDim != 5) {
          assertEquals(calm[i], decoded[i]);
        }
      }
    }
    var random = new SplitMix(13);
    for (float size : new float[] {Float.MIN_VALUE, 1e-40f, 1e-30f, 1e-8f, 1e-6f, 65504}) {
      for (int i = 0; i < x.length; i++) {
        x[i] = random.next() < 0 ? size : -size;
      }
      decoded = decode(code, encode(code, x, 0), 0);
      assertTrue(Arrays.stream(decoded).allMatch(Double::isFinite), "at " + size);
    }
  }

  /// A channel's scale is its own, whatever the others hold, and its least and its greatest element
  /// are kept.
  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4})
  void stepsFromTheLeastToTheGreatestOfAChannel(int width) {
    int headDim = 40;
    var x = new float[TOKENS * headDim];
    var random = new SplitMix(14);
    for (int i = 0; i < x.length; i++) {
      int channel = i % headDim;
      x[i] = (float) (channel + (channel == 3 ? 1000 : 1) * random.gaussian());
    }
    TileCode code = PlainCodes.channels(headDim, width, null);
    double[] decoded = decode(code, encode(code, x, 0), 0);
    for (int channel = 0; channel < headDim; channel++) {
      int first = channel;
      var own = IntStream.range(0, TOKENS).mapToDouble(token -> x[token * headDim + first]);
      var range = own.summaryStatistics();
      double step = (range.getMax() - range.getMin()) / ((1 << width) - 1);
      double rounding = 2 * HALF * Math.max(Math.abs(range.getMin()), range.getMax());
      for (int token = 0; token < TOKENS; token++) {
        int at = token * headDim + channel;
        boolean isEnd = x[at] == (float) range.getMin() || x[at] == (float) range.getMax();
        assertEquals(x[at], decoded[at], (isEnd ? 0 : step / 2) + rounding + 2 * HALF * step);
      }
    }
  }

  /// All bits go to the leading half of the groups.
  @ParameterizedTest
  @CsvSource({"64, 3, 6 6 0 0", "64, 2, 5 3 0 0", "40, 3, 4 3 0", "40, 2, 4 1 0", "8, 2, 2"})
  void aLowRankHasNoTail(int headDim, int width, String widths) {
    TileCode code = SpectralCodes.lowRank(SampleCodes.spectrum(headDim, true), width, 0, null);
    List<String> expected = List.of(widths.split(" "));
    assertEquals(expected, code.format().widths().stream().map(String::valueOf).toList());
    assertEquals("lr" + width, code.format().name());
  }

  private static CodedFormat format(Role role, int headDim, int width) {
    List<Integer> widths = Collections.nCopies(CodedFormat.groups(headDim), width);
    return new CodedFormat("test", role, TileShape.of(headDim), widths, false, 0);
  }

  private static double square(float[] x) {
    double sum = 0;
    for (float value : x) {
      sum += (double) value * value;
    }
    return sum;
  }

  private static MemorySegment encode(TileCode code, float[] x, int firstPosition) {
    var tile = MemorySegment.ofArray(new byte[(int) code.format().tileBytes()]);
    TileCodec.encode(code, x, firstPosition, tile, 0);
    return tile;
  }

  private static double[] decode(TileCode code, MemorySegment tile, int firstPosition) {
    var x = new double[code.format().shape().elements()];
    TileCodec.decode(code, tile, 0, firstPosition, x);
    return x;
  }
}
