package dev.tessera.kvcache;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/// Where the tiles of one block lie in a slab of one form, where every layer and head may have a
/// format of its own.
///
/// A slab is `[layers of the group][kvHeads]{ key tile, value tile }`, every tile at a multiple of
/// [SlabLayout#ALIGNMENT] bytes. An [ExactFormat] in it holds a copy of the exact tile.
///
/// The offsets are sums over the tiles before: ask once and keep them.
///
/// @param keys formats of the key tiles, `[layers of the group][kvHeads]`
/// @param values formats of the value tiles, the same
public record FormLayout(
    LayerGroup group, int kvHeads, List<List<TileFormat>> keys, List<List<TileFormat>> values) {

  public FormLayout {
    keys = copy("keys", group, kvHeads, keys);
    values = copy("values", group, kvHeads, values);
  }

  private static List<List<TileFormat>> copy(
      String what, LayerGroup group, int kvHeads, List<List<TileFormat>> formats) {
    if (formats.size() != group.layers().size()) {
      throw new IllegalArgumentException(
          "formats of %s for %d layers; layer group %d has %d"
              .formatted(what, formats.size(), group.id(), group.layers().size()));
    }
    var copies = new ArrayList<List<TileFormat>>();
    for (List<TileFormat> heads : formats) {
      if (heads.size() != kvHeads) {
        throw new IllegalArgumentException(
            "formats of %s for %d KV heads; the model has %d"
                .formatted(what, heads.size(), kvHeads));
      }
      copies.add(List.copyOf(heads));
    }
    return List.copyOf(copies);
  }

  /// The same two formats in every layer and head.
  public static FormLayout uniform(
      LayerGroup group, int kvHeads, TileFormat key, TileFormat value) {
    int layers = group.layers().size();
    return new FormLayout(
        group, kvHeads, repeat(key, layers, kvHeads), repeat(value, layers, kvHeads));
  }

  private static List<List<TileFormat>> repeat(TileFormat format, int layers, int kvHeads) {
    return Collections.nCopies(layers, Collections.nCopies(kvHeads, format));
  }

  /// Bytes from the start of a slab to a key tile.
  public long keyOffset(int layerInGroup, int kvHead) {
    long offset = 0;
    for (int layer = 0; layer < layerInGroup; layer++) {
      offset += bytes(layer, kvHeads);
    }
    return offset + bytes(layerInGroup, kvHead);
  }

  /// Bytes from the start of a slab to a value tile.
  public long valueOffset(int layerInGroup, int kvHead) {
    return keyOffset(layerInGroup, kvHead)
        + SlabLayout.align(keys.get(layerInGroup).get(kvHead).tileBytes());
  }

  /// Bytes of a slab.
  public long slabBytes() {
    long bytes = 0;
    for (int layer = 0; layer < keys.size(); layer++) {
      bytes += bytes(layer, kvHeads);
    }
    return bytes;
  }

  /// Bytes of the tiles of a layer's first heads.
  private long bytes(int layer, int heads) {
    long bytes = 0;
    for (int head = 0; head < heads; head++) {
      bytes += SlabLayout.align(keys.get(layer).get(head).tileBytes());
      bytes += SlabLayout.align(values.get(layer).get(head).tileBytes());
    }
    return bytes;
  }
}
