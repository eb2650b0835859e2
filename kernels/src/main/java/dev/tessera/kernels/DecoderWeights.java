package dev.tessera.kernels;

import org.jspecify.annotations.Nullable;

/// The weights of a decoder by role. The tensors stay valid while the model is open; a backend that
/// repacks them may let go of them after loading.
public interface DecoderWeights {

  /// The layer to ask for when a weight belongs to no layer.
  int NO_LAYER = -1;

  /// The weight, or null where the model has none.
  ///
  /// @param layer from 0, or [#NO_LAYER] for the embedding, the output norm and the output
  @Nullable Tensor tensor(WeightRole role, int layer);

  /// The weight, which must exist.
  default Tensor required(WeightRole role, int layer) {
    Tensor tensor = tensor(role, layer);
    if (tensor == null) {
      throw new IllegalArgumentException("the model has no " + role + " in layer " + layer);
    }
    return tensor;
  }
}
