package dev.tessera.kernels.codec;

import dev.tessera.kernels.RopeSpec;

/// A mean of the keys before RoPE, which turns with the position: the key at position p is coded
/// without `R_p · mean`. It is the same for every tile of a layer and KV head and takes no bytes.
///
/// @param mean `[headDim]`, before RoPE
/// @param rope the rotation of the layer
public record Turn(float[] mean, RopeSpec rope) {
  public Turn {
    if (rope.rotaryDim() > mean.length) {
      throw new IllegalArgumentException(
          "a mean of %d elements; its rotation has %d".formatted(mean.length, rope.rotaryDim()));
    }
  }
}
