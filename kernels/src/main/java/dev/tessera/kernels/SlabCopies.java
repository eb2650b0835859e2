package dev.tessera.kernels;

import dev.tessera.kernels.codec.ExactTiles;
import dev.tessera.kvcache.SlabLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// Copies of slabs outside of any session, until this is closed.
public final class SlabCopies implements AutoCloseable {

  private final Arena arena = Arena.ofShared();

  public SlabCopies() {}

  /// The bytes of one slab.
  public static final class Copy {

    private final MemorySegment bytes;

    private Copy(MemorySegment bytes) {
      this.bytes = bytes;
    }

    /// Puts the bytes into a slab of the same layout, between steps.
    public void writeTo(DecoderSession session, int group, int form, int slab) {
      session.writeSlab(group, form, slab, bytes);
    }

    /// A copy of its own, on the heap.
    public Copy duplicate() {
      return new Copy(MemorySegment.ofArray(bytes.toArray(ValueLayout.JAVA_BYTE)));
    }

    /// The elements of a tile of an exact slab, `[64][headDim]`.
    ///
    /// @param layer in its group
    public float[] tile(SlabLayout layout, int layer, int kvHead, boolean isValue) {
      return ExactTiles.read(layout, bytes, layer, kvHead, isValue);
    }

    /// Replaces the elements of a tile of an exact slab, rounded to its element.
    ///
    /// @param layer in its group
    /// @param x `[64][headDim]`
    public void setTile(SlabLayout layout, int layer, int kvHead, boolean isValue, double[] x) {
      ExactTiles.write(layout, bytes, layer, kvHead, isValue, x);
    }
  }

  /// Copies a slab out of a session, between steps.
  ///
  /// @param size bytes of the slab
  public Copy take(DecoderSession session, int group, int form, int slab, long size) {
    MemorySegment bytes = arena.allocate(size, SlabLayout.ALIGNMENT);
    session.readSlab(group, form, slab, bytes);
    return new Copy(bytes);
  }

  @Override
  public void close() {
    arena.close();
  }
}
