package dev.tessera.kvcache;

/// Where the tiles of one block lie in a slab: all layers of a group, all KV heads, K and V.
///
/// A slab is `[layers of the group][kvHeads]{ key tile, value tile }`. It is the unit of
/// allocation: a block in one form occupies one slab of that form's pool. Every tile starts at a
/// multiple of [#ALIGNMENT] bytes.
public record SlabLayout(LayerGroup group, int kvHeads, TileFormat key, TileFormat value) {

  /// Alignment of a tile in bytes: a cache line, and the widest vector.
  public static final long ALIGNMENT = 64;

  static long align(long bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }

  /// Bytes from a key tile to the value tile of the same head.
  public long valueOffset() {
    return align(key.tileBytes());
  }

  /// Bytes from one head's tiles to the next head's.
  public long headStride() {
    return valueOffset() + align(value.tileBytes());
  }

  /// Bytes from one layer's tiles to the next layer's.
  public long layerStride() {
    return headStride() * kvHeads;
  }

  /// Bytes of a slab.
  public long slabBytes() {
    return layerStride() * group.layers().size();
  }

  /// Offset in the slab of a key tile; its value tile lies [#valueOffset()] behind.
  ///
  /// @param layerInGroup index into the group's layers
  public long tileOffset(int layerInGroup, int kvHead) {
    return layerInGroup * layerStride() + kvHead * headStride();
  }
}
