package dev.tessera.kernels.scalar;

import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.ExactFormat;
import dev.tessera.kvcache.SlabLayout;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/// The exact slabs of one layer group: addressed as every backend addresses them, one element at a
/// time.
final class Tiles {

  private final ExactFormat key;
  private final ExactFormat value;
  private final int kvHeads;
  private final long slabBytes;
  private final long layerStride;
  private final long headStride;
  private final long valueOffset;
  private final @Nullable MemorySegment[] slabs; // null until first written

  Tiles(SlabLayout layout, int slabs) {
    this.key = (ExactFormat) layout.key();
    this.value = (ExactFormat) layout.value();
    this.kvHeads = layout.kvHeads();
    this.slabBytes = layout.slabBytes();
    this.layerStride = layout.layerStride();
    this.headStride = layout.headStride();
    this.valueOffset = layout.valueOffset();
    this.slabs = new @Nullable MemorySegment[slabs];
  }

  int headDim() {
    return key.shape().headDim();
  }

  int kvHeads() {
    return kvHeads;
  }

  /// Stores one element of one token's key or value.
  void put(Vector what, int ref, int layer, int kvHead, int position, int dimension, double x) {
    MemorySegment segment = slab(BlockRef.slab(ref));
    long at = offset(what, layer, kvHead, position, dimension);
    switch (key.element()) {
      case F32 -> segment.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at, (float) x);
      case F16 ->
          segment.set(ValueLayout.JAVA_SHORT_UNALIGNED, at, Float.floatToFloat16((float) x));
      case BF16 -> segment.set(ValueLayout.JAVA_SHORT_UNALIGNED, at, toBfloat((float) x));
    }
  }

  /// The bytes of a slab.
  MemorySegment slab(int slab) {
    MemorySegment segment = slabs[slab];
    if (segment == null) {
      segment = MemorySegment.ofArray(new byte[Math.toIntExact(slabBytes)]);
      slabs[slab] = segment;
    }
    return segment;
  }

  /// The bytes of a tile.
  MemorySegment bytes(Vector what, int ref, int layer, int kvHead) {
    long bytes = (what == Vector.KEY ? key : value).tileBytes();
    return slab(BlockRef.slab(ref)).asSlice(offset(what, layer, kvHead, 0, 0), bytes);
  }

  /// Reads one element.
  double get(Vector what, int ref, int layer, int kvHead, int position, int dimension) {
    MemorySegment segment = slabs[BlockRef.slab(ref)];
    if (segment == null) {
      throw new IllegalStateException("slab " + BlockRef.slab(ref) + " was never written");
    }
    return element(segment, offset(what, layer, kvHead, position, dimension));
  }

  private double element(MemorySegment segment, long at) {
    return switch (key.element()) {
      case F32 -> segment.get(ValueLayout.JAVA_FLOAT_UNALIGNED, at);
      case F16 -> Float.float16ToFloat(segment.get(ValueLayout.JAVA_SHORT_UNALIGNED, at));
      case BF16 ->
          Float.intBitsToFloat(segment.get(ValueLayout.JAVA_SHORT_UNALIGNED, at) << Short.SIZE);
    };
  }

  /// All elements of a tile: `[64][headDim]`.
  double[] tile(Vector what, MemorySegment bytes) {
    ExactFormat format = what == Vector.KEY ? key : value;
    var values = new double[key.shape().elements()];
    for (int i = 0; i < values.length; i++) {
      int index = format.index(i / headDim(), i % headDim());
      values[i] = element(bytes, (long) format.element().bytes() * index);
    }
    return values;
  }

  /// The nearest, ties to even.
  private static short toBfloat(float x) {
    int bits = Float.floatToRawIntBits(x);
    return (short) (Float.isNaN(x) ? 0x7fc0 : bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
  }

  void discard(int slab) {
    slabs[slab] = null;
  }

  private long offset(Vector what, int layer, int kvHead, int position, int dimension) {
    int token = position % TileShape.BLOCK_TOKENS;
    long tile = layer * layerStride + kvHead * headStride;
    long bytes = key.element().bytes();
    return switch (what) {
      case KEY -> tile + bytes * key.index(token, dimension);
      case VALUE -> tile + valueOffset + bytes * value.index(token, dimension);
    };
  }

  /// Which of the two vectors of a token.
  enum Vector {
    KEY,
    VALUE
  }
}
