package dev.tessera.models;

import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.RopeSpec;
import dev.tessera.kvcache.KvGeometry;
import dev.tessera.kvcache.LayerGroup;
import java.util.ArrayList;
import java.util.List;

/// The shape of a decoder as its file describes it, whatever the file's format.
///
/// @param fullRope rotation in the layers that see the whole sequence
/// @param windowRope rotation in the others
/// @param window tokens that a query of a windowed layer sees, itself included; 0 when there is no
///   such layer
/// @param windowed `[layers]`
record ModelConfig(
    Architecture architecture,
    int layers,
    int hidden,
    int heads,
    int kvHeads,
    int headDim,
    int feedForward,
    int maxPositions,
    float normEpsilon,
    float embeddingScale,
    float attentionScale,
    float attentionSoftCap,
    float logitSoftCap,
    RopeSpec fullRope,
    RopeSpec windowRope,
    int window,
    boolean[] windowed) {

  static final int MOST_LAYERS = 1024;
  static final int MOST_HEADS = 1024;
  static final int WIDEST = 1 << 20;
  static final int LONGEST_CONTEXT = 1 << 27;

  /// Epsilons beyond this would swallow the activations. Of rotary embeddings: their base, and any
  /// factor on it.
  static final double LARGEST_BASE = 1e12;

  static final double LARGEST_FACTOR = 1e4;

  /// Of Gemma 3's layers each sixth sees the whole context.
  static final int GEMMA_PATTERN = 6;

  /// Epsilons beyond this would swallow the activations.
  static final double LARGEST_EPSILON = 0.1;

  /// Checks what the reader of a single value cannot see.
  void validate(String where) throws ModelFormatException {
    if (heads % kvHeads != 0) {
      throw new ModelFormatException(
          "%s: %d heads are not a multiple of %d KV heads".formatted(where, heads, kvHeads));
    }
    if (headDim % 8 != 0 || headDim < 8 || headDim > 256) {
      throw new ModelFormatException(
          "%s: the head dimension is %d; supported: multiples of 8 from 8 to 256"
              .formatted(where, headDim));
    }
    for (RopeSpec rope : List.of(fullRope, windowRope)) {
      for (double frequency : rope.frequencies()) {
        if (!Double.isFinite(frequency)) {
          throw new ModelFormatException(where + ": the rotation's frequencies are not finite");
        }
      }
      if (!Float.isFinite(rope.magnitude())) {
        throw new ModelFormatException(where + ": the rotation's magnitude is not finite");
      }
    }
  }

  /// What the backends need to know.
  ///
  /// @param vocabulary rows of the output matrix
  DecoderSpec spec(int vocabulary) {
    List<Integer> full = new ArrayList<>();
    List<Integer> windows = new ArrayList<>();
    for (int layer = 0; layer < layers; layer++) {
      (windowed[layer] ? windows : full).add(layer);
    }
    List<LayerGroup> groups = new ArrayList<>();
    List<RopeSpec> ropes = new ArrayList<>();
    if (!full.isEmpty()) {
      groups.add(new LayerGroup(groups.size(), full, 0, 0));
      ropes.add(fullRope);
    }
    if (!windows.isEmpty()) {
      groups.add(new LayerGroup(groups.size(), windows, window, 0));
      ropes.add(windowRope);
    }
    DecoderSpec.Layer[] decoderLayers = new DecoderSpec.Layer[layers];
    for (LayerGroup group : groups) {
      for (int i = 0; i < group.layers().size(); i++) {
        decoderLayers[group.layers().get(i)] = new DecoderSpec.Layer(group.id(), i, group.id());
      }
    }
    return new DecoderSpec(
        vocabulary,
        hidden,
        heads,
        kvHeads,
        headDim,
        feedForward,
        architecture.activation,
        normEpsilon,
        embeddingScale,
        attentionScale,
        attentionSoftCap,
        logitSoftCap,
        ropes,
        List.of(decoderLayers),
        new KvGeometry(groups, layers, kvHeads, headDim),
        maxPositions);
  }
}
