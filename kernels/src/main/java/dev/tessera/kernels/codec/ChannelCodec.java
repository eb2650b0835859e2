package dev.tessera.kernels.codec;

import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.MemorySegment;

/// Tiles with a scale and a zero for every channel: a code counts even steps from the least element
/// of the channel in this tile to its greatest.
///
/// A part of [TileCodec], and as exact: operations are in plain single precision, in the order
/// written here.
final class ChannelCodec {

  private static final int TOKENS = TileShape.BLOCK_TOKENS;

  private ChannelCodec() {}

  /// @param x `[64][headDim]`, without its turning mean
  /// @param tile of zeros
  static void encode(CodedFormat format, float[] x, MemorySegment tile, long at) {
    int headDim = format.shape().headDim();
    byte[][] streams = TileCodec.streams(format);
    for (int i = 0; i < headDim; i++) {
      float least = x[i];
      float greatest = x[i];
      for (int token = 1; token < TOKENS; token++) {
        least = Math.min(least, x[token * headDim + i]);
        greatest = Math.max(greatest, x[token * headDim + i]);
      }
      int steps = (1 << format.widths().get(i / CodedFormat.GROUP_CHANNELS)) - 1;
      float scale = steps == 0 ? 0 : TileCodec.half((greatest - least) / steps);
      float zero = TileCodec.half(least + 0f); // of two zeros the positive one
      TileCodec.putHalf(tile, at + format.scalesOffset() + 2L * i, scale);
      TileCodec.putHalf(tile, at + format.zerosOffset() + 2L * i, zero);
      for (int token = 0; token < TOKENS; token++) {
        float step = scale == 0 ? 0 : (x[token * headDim + i] - zero) / scale;
        TileCodec.put(format, streams, token, i, Math.clamp((long) Math.rint(step), 0, steps));
      }
    }
    for (int group = 0; group < format.groups(); group++) {
      CodeStream.write(format, group, streams[group], tile, at);
    }
  }

  /// @param x receives `[64][headDim]`, without its turning mean
  static void decode(CodedFormat format, MemorySegment tile, long at, double[] x) {
    int headDim = format.shape().headDim();
    byte[][] codes = TileCodec.read(format, tile, at);
    for (int i = 0; i < headDim; i++) {
      double scale = TileCodec.getHalf(tile, at + format.scalesOffset() + 2L * i);
      double zero = TileCodec.getHalf(tile, at + format.zerosOffset() + 2L * i);
      int group = i / CodedFormat.GROUP_CHANNELS;
      for (int token = 0; token < TOKENS; token++) {
        int index = format.streamIndex(group, token, i % CodedFormat.GROUP_CHANNELS);
        x[token * headDim + i] = zero + scale * codes[group][index];
      }
    }
  }
}
