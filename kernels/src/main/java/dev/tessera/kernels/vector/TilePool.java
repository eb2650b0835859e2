package dev.tessera.kernels.vector;

import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.ElementType;
import dev.tessera.kvcache.ExactFormat;
import dev.tessera.kvcache.KvGeometry;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.SlabLayout;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/// The exact slabs of one layer group, in memory off the heap that is taken when a slab is first
/// written. Keys lie with a lane per position, values token after token.
final class TilePool {

  private final ExactFormat key;
  private final ExactFormat value;
  private final long slabBytes;
  private final long layerStride;
  private final long headStride;
  private final long valueOffset;
  private final AtomicReferenceArray<@Nullable MemorySegment> slabs;

  TilePool(SlabLayout layout, int slabCount) {
    key = (ExactFormat) layout.key();
    value = (ExactFormat) layout.value();
    slabBytes = layout.slabBytes();
    layerStride = layout.layerStride();
    headStride = layout.headStride();
    valueOffset = layout.valueOffset();
    slabs = new AtomicReferenceArray<>(slabCount);
  }

  static SlabLayout layout(LayerGroup group, KvGeometry kv) {
    TileShape shape = kv.tileShape();
    return new SlabLayout(
        group,
        kv.kvHeads(),
        new ExactFormat(ElementType.F32, ExactFormat.Arrangement.LANES_16, shape),
        new ExactFormat(ElementType.F32, ExactFormat.Arrangement.TOKEN_MAJOR, shape));
  }

  int headDim() {
    return key.shape().headDim();
  }

  /// The slab of a reference. Rows of one block may be written by several threads at once.
  MemorySegment slab(int ref) {
    int index = BlockRef.slab(ref);
    MemorySegment slab = slabs.get(index);
    if (slab == null) {
      MemorySegment fresh = Arena.ofAuto().allocate(slabBytes, SlabLayout.ALIGNMENT);
      slab = slabs.compareAndSet(index, null, fresh) ? fresh : slabs.get(index);
      if (slab == null) {
        throw new IllegalStateException("slab " + index + " was discarded while it was written");
      }
    }
    return slab;
  }

  /// Where a key tile starts in its slab.
  long keyOffset(int layerInGroup, int kvHead) {
    return layerInGroup * layerStride + kvHead * headStride;
  }

  /// Where a value tile starts in its slab.
  long valueOffset(int layerInGroup, int kvHead) {
    return keyOffset(layerInGroup, kvHead) + valueOffset;
  }

  /// Stores the key and the value of one token and head.
  ///
  /// @param k `[headDim]` from `first`
  /// @param v the same
  void store(int ref, int layerInGroup, int kvHead, int position, float[] k, float[] v, int first) {
    MemorySegment slab = slab(ref);
    int token = position % TileShape.BLOCK_TOKENS;
    long keyAt = keyOffset(layerInGroup, kvHead);
    for (int i = 0; i < headDim(); i++) {
      slab.set(
          ValueLayout.JAVA_FLOAT_UNALIGNED,
          keyAt + (long) Float.BYTES * key.index(token, i),
          k[first + i]);
    }
    MemorySegment.copy(
        v,
        first,
        slab,
        ValueLayout.JAVA_FLOAT_UNALIGNED,
        valueOffset(layerInGroup, kvHead) + (long) Float.BYTES * token * headDim(),
        headDim());
  }

  long tileBytes(boolean isKey) {
    return (isKey ? key : value).tileBytes();
  }

  /// The bytes of a tile.
  MemorySegment tile(boolean isKey, int ref, int layerInGroup, int kvHead) {
    long at = isKey ? keyOffset(layerInGroup, kvHead) : valueOffset(layerInGroup, kvHead);
    return slab(ref).asSlice(at, tileBytes(isKey));
  }

  /// The elements of a tile, `[64][headDim]`.
  float[] floats(boolean isKey, MemorySegment tile) {
    ExactFormat format = isKey ? key : value;
    var x = new float[format.shape().elements()];
    for (int i = 0; i < x.length; i++) {
      int index = format.index(i / headDim(), i % headDim());
      x[i] = tile.get(ValueLayout.JAVA_FLOAT_UNALIGNED, (long) Float.BYTES * index);
    }
    return x;
  }

  void discard(int slab) {
    slabs.set(slab, null);
  }
}
