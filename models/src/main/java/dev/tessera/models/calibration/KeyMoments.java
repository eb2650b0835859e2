package dev.tessera.models.calibration;

import dev.tessera.kvcache.TileShape;

/// Sums over the keys of one layer and KV head, and over the queries that read them, from which its
/// [LearnedKeys] are computed. Keys are centred on the mean of their tile, as the codec will do.
final class KeyMoments {

  private static final int BLOCK = TileShape.BLOCK_TOKENS;

  private final Rotation rotation;
  private final int dim;
  private final double[] turnedBack; // sum of the keys before RoPE
  private final double[][] queries; // sum of q qᵀ
  private final double[][] keys; // sum of k kᵀ, centred
  private final double[][] crossed; // sum of k fᵀ, centred; see TurnMoments
  private final double[][] tile; // [64][dim], the tile in hand
  private long queryCount;
  private long keyCount;
  private long tiledCount;

  KeyMoments(Rotation rotation, int headDim) {
    this.rotation = rotation;
    this.dim = headDim;
    turnedBack = new double[dim];
    queries = new double[dim][dim];
    keys = new double[dim][dim];
    crossed = new double[dim][2 * rotation.pairs()];
    tile = new double[BLOCK][dim];
  }

  void addQuery(float[] vectors, int at) {
    for (int i = 0; i < dim; i++) {
      double factor = vectors[at + i];
      double[] row = queries[i];
      for (int j = 0; j <= i; j++) {
        row[j] += factor * vectors[at + j];
      }
    }
    queryCount++;
  }

  /// Adds a key; those of a text come in order, from position 0 on. The tokens of an unfinished
  /// tile count towards the mean alone.
  ///
  /// @param turns of the position
  void addKey(float[] vectors, int at, int position, double[] turns) {
    rotation.addTurnedBack(vectors, at, turns, turnedBack);
    keyCount++;
    double[] row = tile[position % BLOCK];
    for (int i = 0; i < dim; i++) {
      row[i] = vectors[at + i];
    }
    if (position % BLOCK == BLOCK - 1) {
      addTile(TurnMoments.centredTurns(rotation, position - BLOCK + 1));
    }
  }

  private void addTile(double[][] turns) {
    var mean = new double[dim];
    for (double[] key : tile) {
      for (int i = 0; i < dim; i++) {
        mean[i] += key[i] / BLOCK;
      }
    }
    for (int t = 0; t < BLOCK; t++) {
      double[] key = tile[t];
      double[] turn = turns[t];
      for (int i = 0; i < dim; i++) {
        key[i] -= mean[i];
      }
      for (int i = 0; i < dim; i++) {
        double factor = key[i];
        double[] row = keys[i];
        for (int j = 0; j <= i; j++) {
          row[j] += factor * key[j];
        }
        double[] cross = crossed[i];
        for (int j = 0; j < turn.length; j++) {
          cross[j] += factor * turn[j];
        }
      }
    }
    tiledCount += BLOCK;
  }

  boolean isEmpty() {
    return tiledCount == 0 || queryCount == 0;
  }

  /// Mean of the keys before RoPE.
  double[] mean() {
    var mean = new double[dim];
    for (int i = 0; i < dim; i++) {
      mean[i] = turnedBack[i] / keyCount;
    }
    return mean;
  }

  /// Second moment of the queries.
  double[][] queryMoments() {
    return symmetric(queries, queryCount);
  }

  /// Covariance of the keys within their tiles.
  double[][] keyMoments() {
    return symmetric(keys, tiledCount);
  }

  /// The same of what is left of the keys when `mean` has been turned to each position and taken
  /// out: with `R_t · mean = M f`, the sum of `(k - M f)(k - M f)ᵀ`.
  double[][] keyMoments(double[] mean, TurnMoments turns) {
    double[][] m = rotation.asFunctionOfTurns(mean);
    double[][] turned = Matrices.transpose(m);
    double[][] cross = Matrices.multiply(crossed, turned);
    double[][] own = Matrices.multiply(Matrices.multiply(m, turns.sum()), turned);
    double[][] left = symmetric(keys, 1);
    for (int i = 0; i < dim; i++) {
      for (int j = 0; j < dim; j++) {
        left[i][j] = (left[i][j] - cross[i][j] - cross[j][i] + own[i][j]) / tiledCount;
      }
    }
    return left;
  }

  /// How much of the squared scores each pair's share of a turning mean takes out by itself,
  /// `[pairs]`: of `tr Q (K - (k - M f)(k - M f)ᵀ)`, what comes from the pair's rows and columns
  /// alone. The pairs turn at different speeds, so that they hardly meet.
  ///
  /// @param queries second moment of the queries, averaged over positions
  double[] gains(double[] mean, TurnMoments turns, double[][] queries) {
    double[][] weighted = Matrices.multiply(queries, crossed);
    var gains = new double[rotation.pairs()];
    for (int pair = 0; pair < gains.length; pair++) {
      int[] rows = {rotation.first(pair), rotation.second(pair)};
      var m = rotation.turningPair(mean, pair); // [2][2]
      double gain = 0;
      for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 2; j++) {
          gain += 2 * m[i][j] * weighted[rows[i]][2 * pair + j];
          for (int k = 0; k < 2; k++) {
            for (int l = 0; l < 2; l++) {
              double own = queries[rows[i]][rows[k]] * turns.sum()[2 * pair + j][2 * pair + l];
              gain -= m[i][j] * own * m[k][l];
            }
          }
        }
      }
      gains[pair] = gain / tiledCount;
    }
    return gains;
  }

  private static double[][] symmetric(double[][] lower, long count) {
    int n = lower.length;
    var full = new double[n][n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j <= i; j++) {
        full[i][j] = lower[i][j] / count;
        full[j][i] = full[i][j];
      }
    }
    return full;
  }
}
