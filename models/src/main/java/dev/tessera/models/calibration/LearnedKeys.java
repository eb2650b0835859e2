package dev.tessera.models.calibration;

import org.jspecify.annotations.Nullable;

/// What was learned about the keys of one layer and KV head.
///
/// In the balanced basis `y = x · forward` the channels of a key are uncorrelated with variances
/// `lambda`, and `|y - y'|²` is the mean squared error of the scores that a change from y to y'
/// causes.
///
/// @param mean `[headDim]`, the mean before RoPE, to be turned to each position and taken out; null
///   where that does not pay
/// @param forward A, `[headDim][headDim]`
/// @param inverse of A: `x = y · inverse`, and a query is turned by `inverse · q`
/// @param lambda `[headDim]`, descending
public record LearnedKeys(
    float @Nullable [] mean, float[] forward, float[] inverse, float[] lambda) {

  /// How far the covariance of some thousand tokens is drawn towards its diagonal.
  private static final double SHRINKAGE = 0.3;

  /// Directions that queries or keys hardly have count as if they had this share of the largest.
  private static final double FLOOR = 1e-5;

  /// A turning mean costs a product per key and query: it must take out this share of the squared
  /// scores.
  static final double WORTHWHILE = 0.1;

  /// @param context positions over which the moments are averaged
  static LearnedKeys of(KeyMoments moments, Rotation rotation, TurnMoments turns, int context) {
    double[][] queries = rotation.averaged(moments.queryMoments(), context);
    double[] mean = moments.mean();
    double[][] whole = moments.keyMoments();
    double[][] left = moments.keyMoments(mean, turns);
    double before = Matrices.traceOfProduct(rotation.averaged(whole, context), queries);
    double after = Matrices.traceOfProduct(rotation.averaged(left, context), queries);
    boolean turning = after <= (1 - WORTHWHILE) * before;
    double[][] keys = rotation.averaged(shrunk(turning ? left : whole), context);
    return balanced(turning ? floats(mean) : null, keys, queries);
  }

  private static double[][] shrunk(double[][] covariance) {
    var shrunk = new double[covariance.length][covariance.length];
    for (int i = 0; i < shrunk.length; i++) {
      for (int j = 0; j < shrunk.length; j++) {
        shrunk[i][j] = covariance[i][j] * (i == j ? 1 : 1 - SHRINKAGE);
      }
    }
    return shrunk;
  }

  /// The Karhunen-Loève transform of the keys under the metric of the queries: with the
  /// eigenvectors U of `Q^½ K Q^½`, A is `Q^½ U`.
  private static LearnedKeys balanced(
      float @Nullable [] mean, double[][] keys, double[][] queries) {
    SymmetricEigen metric = SymmetricEigen.of(queries);
    double[][] root = power(metric, 0.5);
    SymmetricEigen axes = SymmetricEigen.of(Matrices.multiply(Matrices.multiply(root, keys), root));
    double[] lambda = axes.values().clone();
    for (int i = 0; i < lambda.length; i++) {
      lambda[i] = Math.max(lambda[i], Math.max(lambda[0] * FLOOR, Float.MIN_NORMAL));
    }
    return new LearnedKeys(
        mean,
        Matrices.flat(Matrices.multiply(root, Matrices.transpose(axes.vectors()))),
        Matrices.flat(Matrices.multiply(axes.vectors(), power(metric, -0.5))),
        floats(lambda));
  }

  /// A power of a positive matrix, its smallest eigenvalues raised to the floor.
  private static double[][] power(SymmetricEigen eigen, double exponent) {
    double[][] vectors = eigen.vectors();
    double largest = Math.max(eigen.values()[0], Float.MIN_NORMAL);
    double[][] scaled = new double[vectors.length][];
    for (int i = 0; i < vectors.length; i++) {
      double value = Math.max(eigen.values()[i], largest * FLOOR);
      double factor = exponent > 0 ? Math.sqrt(value) : 1 / Math.sqrt(value);
      scaled[i] = vectors[i].clone();
      for (int j = 0; j < scaled[i].length; j++) {
        scaled[i][j] *= factor;
      }
    }
    return Matrices.multiply(Matrices.transpose(vectors), scaled);
  }

  private static float[] floats(double[] x) {
    var y = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = (float) x[i];
    }
    return y;
  }
}
