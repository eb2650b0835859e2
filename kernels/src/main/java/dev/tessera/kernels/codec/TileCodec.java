package dev.tessera.kernels.codec;

import dev.tessera.kernels.Shapes;
import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/// The executable definition of every coded tile: its bytes are what [#encode] and [#cut] write,
/// and mean what [#decode] reads. It is never optimised; every kernel writes the same bytes.
///
/// A vector is coded in steps: its turning mean is taken out, then the mean of the tile; what is
/// left goes into a [Basis], is brought to unit size, and each channel becomes the number of the
/// interval of a [LevelTable] that it falls into, or each pair of channels that of the nearest
/// codeword of a [PairTable]. The token's scale is chosen so that the decoded vector's projection
/// on the vector itself is the vector: unbiased, `|y|² = <y, scale · c>`. Codes with scales per
/// channel are another matter: [ChannelCodec].
///
/// Operations are in plain single precision, in the order written here; sums run in eight strands,
/// see [#sum(float\[\])]. Inputs are finite.
public final class TileCodec {

  private static final int TOKENS = TileShape.BLOCK_TOKENS;
  private static final int LARGEST_LEVEL = 127;
  private static final float LARGEST_HALF = 65504;
  private static final ValueLayout.OfShort HALF =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private TileCodec() {}

  /// Writes a tile. A code that was cut is that of the whole code, cut.
  ///
  /// @param x the exact tile, `[64][headDim]`
  /// @param firstPosition of the tile in its sequence
  public static void encode(
      TileCode code, float[] x, int firstPosition, MemorySegment tile, long at) {
    Shapes.require("tile", x.length, TOKENS, code.format().shape().headDim());
    TileCode whole = code.uncut();
    if (whole.equals(code)) {
      encodeWhole(code, x, firstPosition, tile, at);
    } else {
      var scratch = MemorySegment.ofArray(new byte[(int) whole.format().tileBytes()]);
      encodeWhole(whole, x, firstPosition, scratch, 0);
      cut(whole, scratch, 0, code, tile, at);
    }
  }

  private static void encodeWhole(
      TileCode code, float[] exact, int firstPosition, MemorySegment tile, long at) {
    CodedFormat format = code.format();
    int headDim = format.shape().headDim();
    tile.asSlice(at, format.tileBytes()).fill((byte) 0);
    float[] x = exact.clone();
    if (code.turn() != null) {
      subtractTurningMean(code.turn(), firstPosition, x);
    }
    if (format.coding() == CodedFormat.Coding.CHANNELS) {
      ChannelCodec.encode(format, x, tile, at);
      return;
    }
    if (format.centred()) {
      subtractMean(format, x, tile, at);
    }
    var streams = streams(format);
    var errors = new float[TOKENS];
    for (int token = 0; token < TOKENS; token++) {
      float[] y =
          code.basis().forward(Arrays.copyOfRange(x, token * headDim, (token + 1) * headDim));
      float scale =
          code.isBytes()
              ? encodeBytes(code, y, token, streams)
              : encodeDirection(code, y, token, streams);
      putHalf(tile, at + format.scalesOffset() + 2L * token, scale);
      float[] c = values(code, token, streams);
      var error = new float[headDim];
      for (int i = 0; i < headDim; i++) {
        float difference = y[i] - scale * c[i];
        error[i] = difference * difference;
      }
      errors[token] = sum(error);
    }
    for (int group = 0; group < format.groups(); group++) {
      CodeStream.write(format, group, streams[group], tile, at);
    }
    spare(format, exact, errors, tile, at);
  }

  /// Even steps between ± the largest channel.
  ///
  /// @return the token's scale
  private static float encodeBytes(TileCode code, float[] y, int token, byte[][] streams) {
    float scale = half(largest(y) / LARGEST_LEVEL);
    for (int i = 0; i < y.length; i++) {
      put(code.format(), streams, token, i, scale == 0 ? 0 : level(y[i] / scale));
    }
    return scale;
  }

  /// Unit size, the codes nearest to that, and the unbiased scale.
  ///
  /// @return the token's scale
  private static float encodeDirection(TileCode code, float[] y, int token, byte[][] streams) {
    var z = new float[y.length];
    for (int i = 0; i < y.length; i++) {
      z[i] = y[i] / code.sigma()[i];
    }
    float size = (float) Math.sqrt(sum(squares(code, z)) / code.codedChannels());
    for (int i = 0; i < y.length; i++) {
      z[i] = size == 0 ? 0 : z[i] / size;
    }
    if (code.format().coding() == CodedFormat.Coding.PAIRS) {
      for (int pair = 0; pair < z.length / 2; pair++) {
        int nearest = code.pairs().get(pair).nearest(z[2 * pair], z[2 * pair + 1]);
        put(code.format(), streams, token, pair, nearest);
      }
    } else {
      for (int i = 0; i < z.length; i++) {
        int index = 0;
        for (float bound : table(code, i).bounds()) {
          index += z[i] > bound ? 1 : 0;
        }
        put(code.format(), streams, token, i, index);
      }
    }
    float[] c = values(code, token, streams);
    return half(ratio(sum(squares(code, y)), sum(products(code, y, c))));
  }

  private static void subtractTurningMean(Turn turn, int firstPosition, float[] x) {
    int headDim = turn.mean().length;
    for (int token = 0; token < TOKENS; token++) {
      float[] turned = turn.at(firstPosition + token);
      for (int i = 0; i < headDim; i++) {
        x[token * headDim + i] -= turned[i];
      }
    }
  }

  /// Stores the mean of the tile's vectors in eight bits, and takes out what was stored.
  private static void subtractMean(CodedFormat format, float[] x, MemorySegment tile, long at) {
    int headDim = format.shape().headDim();
    var mean = new float[headDim];
    for (int i = 0; i < headDim; i++) {
      float sum = x[i];
      for (int token = 1; token < TOKENS; token++) {
        sum += x[token * headDim + i];
      }
      mean[i] = sum * (1f / TOKENS);
    }
    float scale = half(largest(mean) / LARGEST_LEVEL);
    putHalf(tile, at + format.meanScaleOffset(), scale);
    for (int i = 0; i < headDim; i++) {
      int level = scale == 0 ? 0 : level(mean[i] / scale);
      tile.set(ValueLayout.JAVA_BYTE, at + format.meanOffset() + i, (byte) level);
      for (int token = 0; token < TOKENS; token++) {
        x[token * headDim + i] -= level * scale;
      }
    }
  }

  /// Stores the tokens with the largest errors as they were.
  private static void spare(
      CodedFormat format, float[] exact, float[] errors, MemorySegment tile, long at) {
    int headDim = format.shape().headDim();
    var isSpared = new boolean[TOKENS];
    for (int n = 0; n < format.spared(); n++) {
      int worst = -1;
      for (int token = 0; token < TOKENS; token++) {
        if (!isSpared[token] && (worst < 0 || errors[token] > errors[worst])) {
          worst = token;
        }
      }
      isSpared[worst] = true;
    }
    int n = 0;
    for (int token = 0; token < TOKENS; token++) {
      if (isSpared[token]) {
        tile.set(ValueLayout.JAVA_BYTE, at + format.spareIndexOffset() + n, (byte) token);
        for (int i = 0; i < headDim; i++) {
          putHalf(tile, spare(format, at, n, i), half(exact[token * headDim + i]));
        }
        n++;
      }
    }
  }

  private static long spare(CodedFormat format, long at, int index, int channel) {
    return at + format.spareOffset() + 2L * (index * format.shape().headDim() + channel);
  }

  /// Drops the lowest planes of a tile and rewrites its scales from the codes alone. To the same
  /// widths, it copies.
  ///
  /// @param from the code of `source`: the same basis and spread as `to`, and at least its widths
  public static void cut(
      TileCode from,
      MemorySegment source,
      long sourceAt,
      TileCode to,
      MemorySegment target,
      long targetAt) {
    from.requireCutTo(to);
    CodedFormat before = from.format();
    CodedFormat after = to.format();
    if (!after.coding().isNested()) {
      MemorySegment.copy(source, sourceAt, target, targetAt, after.tileBytes());
      return;
    }
    target.asSlice(targetAt, after.tileBytes()).fill((byte) 0);
    byte[][] codes = read(before, source, sourceAt);
    byte[][] kept = new byte[codes.length][];
    for (int group = 0; group < codes.length; group++) {
      int dropped = before.widths().get(group) - after.widths().get(group);
      kept[group] = new byte[codes[group].length];
      for (int i = 0; i < codes[group].length; i++) {
        kept[group][i] = (byte) (codes[group][i] >> dropped);
      }
      CodeStream.write(after, group, kept[group], target, targetAt);
    }
    for (int token = 0; token < TOKENS; token++) {
      float[] c = values(from, token, codes);
      float[] cut = values(to, token, kept);
      float scale = getHalf(source, sourceAt + before.scalesOffset() + 2L * token);
      if (!to.isBytes()) {
        scale = half(scale * ratio(sum(squares(to, c)), sum(products(to, c, cut))));
      }
      putHalf(target, targetAt + after.scalesOffset() + 2L * token, scale);
    }
    // Mean and spared tokens do not depend on the widths.
    MemorySegment.copy(
        source,
        sourceAt + before.meanOffset(),
        target,
        targetAt + after.meanOffset(),
        after.endOffset() - after.meanOffset());
  }

  /// Reads a tile.
  ///
  /// @param x receives `[64][headDim]`
  public static void decode(
      TileCode code, MemorySegment tile, long at, int firstPosition, double[] x) {
    CodedFormat format = code.format();
    int headDim = format.shape().headDim();
    Shapes.require("tile", x.length, TOKENS, headDim);
    if (format.coding() == CodedFormat.Coding.CHANNELS) {
      ChannelCodec.decode(format, tile, at, x);
    } else {
      decodeTokens(code, tile, at, x);
    }
    Turn turn = code.turn();
    for (int token = 0; turn != null && token < TOKENS; token++) {
      float[] turned = turn.at(firstPosition + token);
      for (int i = 0; i < headDim; i++) {
        x[token * headDim + i] += turned[i];
      }
    }
    for (int n = 0; n < format.spared(); n++) {
      int token = tile.get(ValueLayout.JAVA_BYTE, at + format.spareIndexOffset() + n);
      for (int i = 0; i < headDim; i++) {
        x[token * headDim + i] = getHalf(tile, spare(format, at, n, i));
      }
    }
  }

  /// What coding leaves of a tile.
  ///
  /// @param x `[64][headDim]`
  /// @return `[64][headDim]`
  public static double[] coded(TileCode code, float[] x, int firstPosition) {
    var tile = MemorySegment.ofArray(new byte[(int) code.format().tileBytes()]);
    var decoded = new double[x.length];
    encode(code, x, firstPosition, tile, 0);
    decode(code, tile, 0, firstPosition, decoded);
    return decoded;
  }

  private static void decodeTokens(TileCode code, MemorySegment tile, long at, double[] x) {
    CodedFormat format = code.format();
    int headDim = format.shape().headDim();
    var channels = new double[x.length];
    var scales = new double[TOKENS];
    channels(code, tile, at, channels, scales);
    for (int token = 0; token < TOKENS; token++) {
      var y = new double[headDim];
      for (int i = 0; i < headDim; i++) {
        y[i] = scales[token] * channels[token * headDim + i];
      }
      double[] vector = code.basis().inverse(y);
      for (int i = 0; i < headDim; i++) {
        x[token * headDim + i] = vector[i] + mean(format, tile, at, i);
      }
    }
  }

  /// Reads what is coded of a tile, in the basis of the code.
  ///
  /// @param channels receives `[64][headDim]`, before the tokens' scales
  /// @param scales receives `[64]`, those of the tokens; 1 where channels have theirs
  public static void channels(
      TileCode code, MemorySegment tile, long at, double[] channels, double[] scales) {
    CodedFormat format = code.format();
    int headDim = format.shape().headDim();
    if (format.coding() == CodedFormat.Coding.CHANNELS) {
      ChannelCodec.decode(format, tile, at, channels);
      Arrays.fill(scales, 1);
      for (int i = 0; i < channels.length; i++) {
        channels[i] -= getHalf(tile, at + format.zerosOffset() + 2L * (i % headDim));
      }
      return;
    }
    byte[][] codes = read(format, tile, at);
    for (int token = 0; token < TOKENS; token++) {
      scales[token] = getHalf(tile, at + format.scalesOffset() + 2L * token);
      float[] c = values(code, token, codes);
      for (int i = 0; i < headDim; i++) {
        channels[token * headDim + i] = c[i];
      }
    }
  }

  /// What a level of each channel of a tile is worth, before its token's scale: `[headDim]`.
  public static double[] units(TileCode code, MemorySegment tile, long at) {
    CodedFormat format = code.format();
    var units = new double[format.shape().headDim()];
    for (int i = 0; i < units.length; i++) {
      units[i] =
          switch (format.coding()) {
            case CHANNELS -> getHalf(tile, at + format.scalesOffset() + 2L * i);
            case PAIRS -> code.pairs().get(i / 2).step();
            case TOKENS -> code.sigma()[i] * table(code, i).step();
          };
    }
    return units;
  }

  private static double mean(CodedFormat format, MemorySegment tile, long at, int channel) {
    return format.centred()
        ? (double) tile.get(ValueLayout.JAVA_BYTE, at + format.meanOffset() + channel)
            * getHalf(tile, at + format.meanScaleOffset())
        : 0;
  }

  static byte[][] streams(CodedFormat format) {
    var streams = new byte[format.groups()][];
    for (int group = 0; group < streams.length; group++) {
      streams[group] = new byte[CodeStream.length(format, group)];
    }
    return streams;
  }

  static byte[][] read(CodedFormat format, MemorySegment tile, long at) {
    var codes = new byte[format.groups()][];
    for (int group = 0; group < codes.length; group++) {
      codes[group] = CodeStream.read(format, group, tile, at);
    }
    return codes;
  }

  /// @param place of the code among its token's: a channel or a pair
  static void put(CodedFormat format, byte[][] streams, int token, int place, int code) {
    int perGroup = format.groupCodes(0);
    int group = place / perGroup; // only the last group has fewer
    streams[group][format.streamIndex(group, token, place % perGroup)] = (byte) code;
  }

  private static byte get(CodedFormat format, byte[][] streams, int token, int place) {
    int perGroup = format.groupCodes(0);
    int group = place / perGroup;
    return streams[group][format.streamIndex(group, token, place % perGroup)];
  }

  /// A token's coded channels before its scale, c: `[headDim]`.
  private static float[] values(TileCode code, int token, byte[][] streams) {
    CodedFormat format = code.format();
    var c = new float[format.shape().headDim()];
    for (int pair = 0; pair < code.pairs().size(); pair++) {
      PairTable table = code.pairs().get(pair);
      int codeword = get(format, streams, token, pair);
      c[2 * pair] = table.first(codeword) * table.step();
      c[2 * pair + 1] = table.second(codeword) * table.step();
    }
    for (int i = 0; i < c.length && !code.tables().isEmpty(); i++) {
      LevelTable table = table(code, i);
      c[i] = table.level(get(format, streams, token, i)) * table.step() * code.sigma()[i];
    }
    return c;
  }

  private static LevelTable table(TileCode code, int channel) {
    return code.tables().get(channel / CodedFormat.GROUP_CHANNELS);
  }

  /// The squares of the channels that are coded at all; zeros for the others.
  private static float[] squares(TileCode code, float[] a) {
    return products(code, a, a);
  }

  private static float[] products(TileCode code, float[] a, float[] b) {
    var products = new float[a.length];
    for (int i = 0; i < a.length; i++) {
      int width = code.format().widths().get(i / CodedFormat.GROUP_CHANNELS);
      products[i] = width > 0 ? a[i] * b[i] : 0;
    }
    return products;
  }

  /// The sum in eight strands, element i in strand `i % 8`: what a vector of eight lanes does.
  static float sum(float[] x) {
    var strands = new float[8];
    for (int i = 0; i < x.length; i++) {
      strands[i % 8] += x[i];
    }
    return ((strands[0] + strands[4]) + (strands[2] + strands[6]))
        + ((strands[1] + strands[5]) + (strands[3] + strands[7]));
  }

  private static float ratio(float dividend, float divisor) {
    return divisor > 0 && divisor <= Float.MAX_VALUE ? dividend / divisor : 0;
  }

  private static float largest(float[] x) {
    float largest = 0;
    for (float value : x) {
      largest = Math.max(largest, Math.abs(value));
    }
    return largest;
  }

  private static int level(float x) {
    return Math.clamp((long) Math.rint(x), -LARGEST_LEVEL, LARGEST_LEVEL);
  }

  /// Rounded to half precision, whose largest number stands for everything above.
  static float half(float x) {
    return Float.float16ToFloat(Float.floatToFloat16(Math.clamp(x, -LARGEST_HALF, LARGEST_HALF)));
  }

  static void putHalf(MemorySegment tile, long at, float x) {
    tile.set(HALF, at, Float.floatToFloat16(x));
  }

  static float getHalf(MemorySegment tile, long at) {
    return Float.float16ToFloat(tile.get(HALF, at));
  }
}
