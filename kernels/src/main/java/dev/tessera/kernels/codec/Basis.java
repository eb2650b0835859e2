package dev.tessera.kernels.codec;

import dev.tessera.kernels.Shapes;

/// The basis in which a tile's vectors are coded. Keys are scored in it, with the query turned into
/// it once; values are summed in it, and the sum is turned back once.
public sealed interface Basis {

  /// Elements of a vector.
  int headDim();

  /// A fixed orthogonal mix of all channels: signs, then a normalised Walsh-Hadamard transform, in
  /// blocks of powers of two where the head dimension is not one (80 = 64 + 16).
  record Hadamard(int headDim) implements Basis {}

  /// A basis learned for one layer and KV head. It need not be orthogonal.
  ///
  /// @param forward A, `[headDim][headDim]`: a vector x is coded as `y = x · A`
  /// @param query the inverse of A, `[headDim][headDim]`: `x = y · query`, and a query is turned by
  ///   `q'' = query · q`, because `q · x = q'' · y`
  record Learned(int headDim, float[] forward, float[] query) implements Basis {
    public Learned {
      Shapes.require("forward basis", forward.length, headDim, headDim);
      Shapes.require("inverse basis", query.length, headDim, headDim);
    }
  }
}
