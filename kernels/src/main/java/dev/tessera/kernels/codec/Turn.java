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

  /// The mean at a position, in single precision: the bits of a tile depend on the order of these
  /// operations. Cosine and sine are rounded from double precision.
  ///
  /// @return `[headDim]`
  public float[] at(int position) {
    float[] turned = mean.clone();
    int pairs = rope.frequencies().length;
    for (int pair = 0; pair < pairs; pair++) {
      boolean isSplit = rope.pairing() == RopeSpec.Pairing.SPLIT;
      int a = isSplit ? pair : 2 * pair;
      int b = isSplit ? pair + pairs : a + 1;
      double angle = position * rope.frequencies()[pair];
      float cos = (float) (StrictMath.cos(angle) * rope.magnitude());
      float sin = (float) (StrictMath.sin(angle) * rope.magnitude());
      turned[a] = mean[a] * cos - mean[b] * sin;
      turned[b] = mean[a] * sin + mean[b] * cos;
    }
    return turned;
  }
}
