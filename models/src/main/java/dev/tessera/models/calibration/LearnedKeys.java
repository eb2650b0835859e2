package dev.tessera.models.calibration;

import org.jspecify.annotations.Nullable;

/// What was learned about the keys of one layer and KV head.
///
/// In the balanced basis `y = x · forward` the channels of a key are uncorrelated with variances
/// `lambda`, and `|y - y'|²` is the mean squared error of the scores that a change from y to y'
/// causes.
///
/// @param mean `[headDim]`, the mean before RoPE, to be turned to each position and taken out; 0 in
///   pairs, null altogether where that does not pay
/// @param forward A, `[headDim][headDim]`
/// @param inverse of A: `x = y · inverse`, and a query is turned by `inverse · q`
/// @param lambda `[headDim]`, descending
public record LearnedKeys(
    float @Nullable [] mean, float[] forward, float[] inverse, float[] lambda) {

  /// How far the covariance of some thousand tokens is drawn towards its diagonal. With twice as
  /// much the default model's presets agree with exact tiles in fewer of the best tokens.
  private static final double SHRINKAGE = 0.15;

  /// Directions that queries or keys hardly have count as if they had this share of the largest.
  private static final double FLOOR = 1e-5;

  /// A turning mean must take out this share of the squared scores to be worth its arithmetic.
  static final double WORTHWHILE = 0.1;

  /// A pair of its elements must take out this share of those that are left: it costs about a
  /// hundredth of the products with an exact tile.
  private static final double WORTHWHILE_PAIR = 0.01;

  /// What a turning mean leaves is for the tile's mean, whose largest element is 127 of its steps:
  /// their rounding may add this share to the squared scores that are left.
  private static final double ROUNDED = 0.001;

  /// @param context positions over which the moments are averaged
  static LearnedKeys of(KeyMoments moments, Rotation rotation, TurnMoments turns, int context) {
    double[][] queries = rotation.averaged(moments.queryMoments(), context);
    double[][] whole = moments.keyMoments();
    double before = Matrices.traceOfProduct(rotation.averaged(whole, context), queries);
    double[] mean = moments.mean();
    double least =
        Matrices.traceOfProduct(
            rotation.averaged(moments.keyMoments(mean, turns), context), queries);
    keepWorthwhile(mean, moments.gains(mean, turns, queries), rotation, queries, least);
    double[][] left = moments.keyMoments(mean, turns);
    double after = Matrices.traceOfProduct(rotation.averaged(left, context), queries);
    boolean turning = after <= (1 - WORTHWHILE) * before;
    double[][] keys = rotation.averaged(shrunk(turning ? left : whole), context);
    return balanced(turning ? floats(mean) : null, keys, queries);
  }

  /// Leaves a mean before RoPE in those pairs where it pays: the slow ones hardly turn within a
  /// tile, whose own mean takes them out.
  ///
  /// @param squaredScores that the whole mean would leave
  private static void keepWorthwhile(
      double[] mean, double[] gains, Rotation rotation, double[][] queries, double squaredScores) {
    double trace = 0;
    for (int i = 0; i < mean.length; i++) {
      trace += queries[i][i];
    }
    // A step's square over 12, in every element.
    double largest = 127 * Math.sqrt(12 * ROUNDED * squaredScores / trace);
    for (int pair = 0; pair < gains.length; pair++) {
      int a = rotation.first(pair);
      int b = rotation.second(pair);
      boolean isLarge = Math.max(Math.abs(mean[a]), Math.abs(mean[b])) > largest;
      if (!isLarge && !(gains[pair] >= WORTHWHILE_PAIR * squaredScores)) {
        mean[a] = 0;
        mean[b] = 0;
      }
    }
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
