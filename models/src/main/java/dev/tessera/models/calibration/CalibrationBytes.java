package dev.tessera.models.calibration;

import dev.tessera.kernels.codec.PairTable;
import dev.tessera.kvcache.CodedFormat.Role;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A [Calibration] as bytes, little endian: `int32 layers, kvHeads, headDim`, then for each layer
/// and KV head a byte (0 nothing learned, 1 learned, 2 learned with a mean) and its floats: mean,
/// forward, inverse, lambda. Where codewords were learned, there follow for each layer and KV head
/// a byte, how many books, and for each of these a byte (bits of a channel, negative for values)
/// and its tables: a float step, and the levels.
final class CalibrationBytes {

  private static final int MOST_HEADS = 1 << 16;
  private static final int MOST_CHANNELS = 256;

  private CalibrationBytes() {}

  static byte[] write(Calibration calibration) {
    int layers = calibration.keys().size();
    int kvHeads = layers == 0 ? 0 : calibration.keys().getFirst().size();
    int dim = calibration.headDim();
    ByteBuffer out =
        Calibration.buffer(
            12
                + layers * kvHeads * (1 + 4 * (2 * dim + 2 * dim * dim))
                + pairBytes(calibration.pairs()));
    out.putInt(layers).putInt(kvHeads).putInt(dim);
    for (List<@Nullable LearnedKeys> heads : calibration.keys()) {
      for (LearnedKeys learned : heads) {
        if (learned == null) {
          out.put((byte) 0);
          continue;
        }
        float[] mean = learned.mean();
        out.put((byte) (mean == null ? 1 : 2));
        if (mean != null) {
          put(out, mean);
        }
        put(out, learned.forward());
        put(out, learned.inverse());
        put(out, learned.lambda());
      }
    }
    calibration.pairs().forEach(heads -> heads.forEach(books -> put(out, books)));
    byte[] bytes = new byte[out.position()];
    out.flip().get(bytes);
    return bytes;
  }

  private static int pairBytes(List<List<List<LearnedPairs>>> pairs) {
    int bytes = 0;
    for (List<List<LearnedPairs>> heads : pairs) {
      for (List<LearnedPairs> books : heads) {
        bytes++;
        for (LearnedPairs book : books) {
          bytes += 1 + 4 + 2 * PairTable.codewords(book.width());
        }
      }
    }
    return bytes;
  }

  private static void put(ByteBuffer out, List<LearnedPairs> books) {
    out.put((byte) books.size());
    for (LearnedPairs book : books) {
      out.put((byte) (book.role() == Role.KEY ? book.width() : -book.width()));
      out.putFloat(book.table().step()).put(book.table().levels());
    }
  }

  private static void put(ByteBuffer out, float[] values) {
    for (float value : values) {
      out.putFloat(value);
    }
  }

  /// @throws IllegalArgumentException if the bytes are no calibration of this shape, or hold a
  ///   number that is not finite
  static Calibration read(byte[] bytes, int layers, int kvHeads, int headDim) {
    ByteBuffer in = Calibration.buffer(bytes.length).put(bytes).flip();
    if (bytes.length < 12
        || in.getInt() != layers
        || in.getInt() != kvHeads
        || in.getInt() != headDim
        || (long) layers * kvHeads > MOST_HEADS
        || headDim > MOST_CHANNELS) {
      throw new IllegalArgumentException("not the calibration of this model");
    }
    List<List<@Nullable LearnedKeys>> keys = new ArrayList<>();
    for (int layer = 0; layer < layers; layer++) {
      List<@Nullable LearnedKeys> heads = new ArrayList<>();
      for (int head = 0; head < kvHeads; head++) {
        heads.add(readHead(in, headDim));
      }
      keys.add(heads);
    }
    List<List<List<LearnedPairs>>> pairs = new ArrayList<>();
    for (int layer = 0; layer < layers && (layer > 0 || in.hasRemaining()); layer++) {
      List<List<LearnedPairs>> heads = new ArrayList<>();
      for (int head = 0; head < kvHeads; head++) {
        heads.add(readBooks(in));
      }
      pairs.add(heads);
    }
    if (in.hasRemaining()) {
      throw new IllegalArgumentException(in.remaining() + " bytes behind the last head");
    }
    return new Calibration(headDim, keys, pairs);
  }

  private static @Nullable LearnedKeys readHead(ByteBuffer in, int dim) {
    int kind = take(in, 1).get();
    return switch (kind) {
      case 0 -> null;
      case 1, 2 -> {
        float[] mean = kind == 2 ? floats(in, dim) : null;
        float[] forward = floats(in, dim * dim);
        float[] inverse = floats(in, dim * dim);
        yield new LearnedKeys(mean, forward, inverse, floats(in, dim));
      }
      default -> throw new IllegalArgumentException("a head of kind " + kind);
    };
  }

  private static List<LearnedPairs> readBooks(ByteBuffer in) {
    List<LearnedPairs> books = new ArrayList<>();
    for (int left = take(in, 1).get(); left > 0; left--) {
      int kind = take(in, 1).get();
      int width = Math.abs(kind);
      if (width < 1 || width > 3) {
        throw new IllegalArgumentException("codewords of " + width + " bits");
      }
      float step = floats(in, 1)[0];
      var levels = new byte[2 * PairTable.codewords(width)];
      take(in, levels.length).get(levels);
      Role role = kind > 0 ? Role.KEY : Role.VALUE;
      books.add(new LearnedPairs(role, width, new PairTable(step, levels)));
    }
    return books;
  }

  private static float[] floats(ByteBuffer in, int count) {
    ByteBuffer part = take(in, 4 * count);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = part.getFloat();
      if (!Float.isFinite(values[i])) {
        throw new IllegalArgumentException("a learned number is " + values[i]);
      }
    }
    return values;
  }

  private static ByteBuffer take(ByteBuffer in, int bytes) {
    if (in.remaining() < bytes) {
      throw new IllegalArgumentException("the calibration ends early");
    }
    ByteBuffer part = in.slice(in.position(), bytes).order(in.order());
    in.position(in.position() + bytes);
    return part;
  }
}
