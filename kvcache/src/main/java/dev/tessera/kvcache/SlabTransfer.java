package dev.tessera.kvcache;

import java.lang.foreign.MemorySegment;

/// Copies the bytes of slabs out of the memory where the kernels use them, and into it: between two
/// steps.
public interface SlabTransfer {

  /// Copies a slab's bytes, as its layout lays them out, of a slab that a step has filled.
  ///
  /// @param form 0 for exact
  /// @param bytes as many as the slab has
  void readSlab(int group, int form, int slab, MemorySegment bytes);

  /// Fills a slab with bytes that were read where the same model was computed by the same kernels:
  /// then queries find in it what they found there, to the last bit.
  ///
  /// @param form 0 for exact
  /// @param bytes as many as the slab has
  void writeSlab(int group, int form, int slab, MemorySegment bytes);
}
