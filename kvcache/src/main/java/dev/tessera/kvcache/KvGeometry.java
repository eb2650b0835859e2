package dev.tessera.kvcache;

import java.util.List;

/// The shape of a model's KV-cache: which layers share block tables, and how many tiles each has.
public record KvGeometry(List<LayerGroup> groups, int layers, int kvHeads, int headDim) {

  public KvGeometry {
    groups = List.copyOf(groups);
    int grouped = groups.stream().mapToInt(group -> group.layers().size()).sum();
    if (grouped != layers) {
      throw new IllegalArgumentException(
          "layer groups hold " + grouped + " layers; the model has " + layers);
    }
    for (int i = 0; i < groups.size(); i++) {
      if (groups.get(i).id() != i) {
        throw new IllegalArgumentException(
            "layer group " + groups.get(i).id() + " is at index " + i);
      }
    }
  }

  /// The shape of every tile.
  public TileShape tileShape() {
    return TileShape.of(headDim);
  }
}
