package dev.tessera.kernels;

/// Hears what every layer's attention read and stored of the rows of a step: what calibration
/// learns from.
@FunctionalInterface
public interface RowCapture {

  /// @param layer from 0, ascending within a step
  /// @param vectors `[rows][heads + 2 * kvHeads][headDim]` from index 0: a row's queries (bias,
  ///   norm, rotation and the attention's scale applied), its keys (bias, norm and rotation
  ///   applied), its values (bias applied). Valid during the call
  void layer(int layer, float[] vectors);
}
