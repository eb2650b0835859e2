package dev.tessera.kernels;

import dev.tessera.kvcache.KvGeometry;
import java.util.List;

/// The shape of a decoder: everything about the network that is not a weight.
///
/// One forward pass, in the order of the fields' use: embedding × `embeddingScale`; per layer `x +=
/// postAttentionNorm(attentionOutput(attend(norm(x))))`, `x +=
/// postFeedForwardNorm(down(activation(gate) * up))`; output norm; output matrix; soft-cap. Queries
/// and keys are normalised per head (where the model has such weights), then rotated.
///
/// @param vocabulary rows of the output matrix: the logits' width
/// @param attentionScale factor on the scores, usually `headDim^-0.5`
/// @param attentionSoftCap `c * tanh(score / c)`; 0 for none
/// @param logitSoftCap the same on the logits; 0 for none
/// @param ropes one per layer kind; a layer names its own by index
/// @param layers in order
/// @param kv which layers share block tables
/// @param maxPositions positions that the model can tell apart: its context window
public record DecoderSpec(
    int vocabulary,
    int hidden,
    int heads,
    int kvHeads,
    int headDim,
    int feedForward,
    Activation activation,
    float normEpsilon,
    float embeddingScale,
    float attentionScale,
    float attentionSoftCap,
    float logitSoftCap,
    List<RopeSpec> ropes,
    List<Layer> layers,
    KvGeometry kv,
    int maxPositions) {

  /// The gate's non-linearity.
  public enum Activation {
    SILU,
    GELU_TANH
  }

  /// What differs between layers.
  ///
  /// @param group id of the layer group in [KvGeometry], which also holds the window
  /// @param indexInGroup place among the group's layers
  /// @param rope index into [DecoderSpec#ropes()]
  public record Layer(int group, int indexInGroup, int rope) {}

  public DecoderSpec {
    ropes = List.copyOf(ropes);
    layers = List.copyOf(layers);
    if (heads % kvHeads != 0) {
      throw new IllegalArgumentException(
          heads + " heads are not a multiple of " + kvHeads + " KV heads");
    }
  }

  /// Query heads that share a KV head.
  public int queriesPerKvHead() {
    return heads / kvHeads;
  }
}
