package dev.tessera.kvcache;

import java.util.List;

/// The layers of a model that share a block table: all of them attend to the same positions.
///
/// @param id index of the group in its geometry
/// @param layers the model's layer numbers, ascending
/// @param window tokens that a query sees, itself included; 0 means the whole sequence. Blocks that
///   lie wholly behind the window of every future query are freed
/// @param sinkTokens tokens at the start of the sequence that stay visible in spite of the window
public record LayerGroup(int id, List<Integer> layers, int window, int sinkTokens) {

  public LayerGroup {
    layers = List.copyOf(layers);
    if (layers.isEmpty()) {
      throw new IllegalArgumentException("layer group " + id + " has no layers");
    }
    if (window < 0 || sinkTokens < 0) {
      throw new IllegalArgumentException(
          "layer group " + id + " has window " + window + " and " + sinkTokens + " sink tokens");
    }
  }

  /// Whether queries see the whole sequence.
  public boolean isFull() {
    return window == 0;
  }
}
