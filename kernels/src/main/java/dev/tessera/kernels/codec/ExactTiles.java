package dev.tessera.kernels.codec;

import dev.tessera.kvcache.ElementType;
import dev.tessera.kvcache.ExactFormat;
import dev.tessera.kvcache.SlabLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// The elements of exact tiles in a slab's bytes, token by token: `[64][headDim]`.
public final class ExactTiles {

  private static final ValueLayout.OfShort HALF =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private ExactTiles() {}

  /// @param layer in its group
  public static float[] read(
      SlabLayout layout, MemorySegment slab, int layer, int kvHead, boolean isValue) {
    ExactFormat format = format(layout, isValue);
    ElementType element = format.element();
    var x = new float[format.shape().elements()];
    for (int i = 0; i < x.length; i++) {
      long at = place(layout, layer, kvHead, isValue, i);
      x[i] =
          switch (element) {
            case F32 -> slab.get(FLOAT, at);
            case F16 -> Float.float16ToFloat(slab.get(HALF, at));
            case BF16 -> Float.intBitsToFloat(slab.get(HALF, at) << 16);
          };
    }
    return x;
  }

  /// Rounds to the tile's element, half to even.
  public static void write(
      SlabLayout layout, MemorySegment slab, int layer, int kvHead, boolean isValue, double[] x) {
    ElementType element = format(layout, isValue).element();
    for (int i = 0; i < x.length; i++) {
      long at = place(layout, layer, kvHead, isValue, i);
      float value = (float) x[i];
      switch (element) {
        case F32 -> slab.set(FLOAT, at, value);
        case F16 -> slab.set(HALF, at, Float.floatToFloat16(value));
        case BF16 -> {
          int bits = Float.floatToRawIntBits(value);
          slab.set(HALF, at, (short) ((bits + 0x7fff + (bits >>> 16 & 1)) >>> 16));
        }
      }
    }
  }

  private static ExactFormat format(SlabLayout layout, boolean isValue) {
    return (ExactFormat) (isValue ? layout.value() : layout.key());
  }

  private static long place(
      SlabLayout layout, int layer, int kvHead, boolean isValue, int element) {
    ExactFormat format = format(layout, isValue);
    int headDim = format.shape().headDim();
    return layout.tileOffset(layer, kvHead)
        + (isValue ? layout.valueOffset() : 0)
        + (long) format.index(element / headDim, element % headDim) * format.element().bytes();
  }
}
