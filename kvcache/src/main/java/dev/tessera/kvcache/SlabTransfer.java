package dev.tessera.kvcache;

import java.lang.foreign.MemorySegment;

/// Copies the bytes of slabs out of the memory where the kernels use them, and into it.
public interface SlabTransfer {

  /// @param bytes receives the slab's
  void read(int group, int form, int slab, MemorySegment bytes);

  /// @param bytes that [#read] has given of another slab, or of this one
  void write(int group, int form, int slab, MemorySegment bytes);
}
