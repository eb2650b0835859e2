package dev.tessera.kvcache;

import java.lang.foreign.MemoryLayout;

/// What the bytes of a tile mean: layout, bits and version.
///
/// The layout is the only definition of the byte order; the C header that the kernels include is
/// rendered from it. A change of layout or meaning needs a new version.
public sealed interface TileFormat permits ExactFormat, CodedFormat {

  /// The name in policies, metrics and the block hash, for example `exact-f16`.
  String name();

  /// Counts up whenever the bytes of the same tile would differ.
  int version();

  TileShape shape();

  /// The named members of a tile, in order.
  MemoryLayout layout();

  /// Bytes of one tile.
  default long tileBytes() {
    return layout().byteSize();
  }

  /// Stored bits per element, everything included.
  default double bitsPerElement() {
    return 8.0 * tileBytes() / shape().elements();
  }
}
