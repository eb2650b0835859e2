package dev.tessera.models.calibration;

import dev.tessera.kernels.RopeSpec;

/// What calibration needs of a layer's RoPE: keys turned back, and second moments averaged over
/// where in the context a text might stand.
final class Rotation {

  private static final int POSITIONS = 64;

  private final RopeSpec rope;
  private final int pairs;

  Rotation(RopeSpec rope) {
    this.rope = rope;
    this.pairs = rope.frequencies().length;
  }

  int pairs() {
    return pairs;
  }

  float magnitude() {
    return rope.magnitude();
  }

  /// The first element of a pair.
  int first(int pair) {
    return rope.pairing() == RopeSpec.Pairing.INTERLEAVED ? 2 * pair : pair;
  }

  /// The second.
  int second(int pair) {
    return rope.pairing() == RopeSpec.Pairing.INTERLEAVED ? 2 * pair + 1 : pair + pairs;
  }

  /// `[2 * pairs]`: cosine and sine of each pair's angle at a position.
  double[] turns(double position) {
    var turns = new double[2 * pairs];
    for (int pair = 0; pair < pairs; pair++) {
      double angle = position * rope.frequencies()[pair];
      turns[2 * pair] = StrictMath.cos(angle);
      turns[2 * pair + 1] = StrictMath.sin(angle);
    }
    return turns;
  }

  /// Adds to `sum` a rotated vector as it was before RoPE.
  void addTurnedBack(float[] vectors, int at, double[] turns, double[] sum) {
    for (int pair = 0; pair < pairs; pair++) {
      double c = turns[2 * pair] / rope.magnitude();
      double s = turns[2 * pair + 1] / rope.magnitude();
      double a = vectors[at + first(pair)];
      double b = vectors[at + second(pair)];
      sum[first(pair)] += a * c + b * s;
      sum[second(pair)] += b * c - a * s;
    }
    for (int i = 2 * pairs; i < sum.length; i++) {
      sum[i] += vectors[at + i];
    }
  }

  /// A vector before RoPE as a matrix `[headDim][2 * pairs]` that turns [#turns] into the vector at
  /// that position, but for the elements that never turn.
  double[][] asFunctionOfTurns(double[] vector) {
    var matrix = new double[vector.length][2 * pairs];
    for (int pair = 0; pair < pairs; pair++) {
      double[][] block = turningPair(vector, pair);
      System.arraycopy(block[0], 0, matrix[first(pair)], 2 * pair, 2);
      System.arraycopy(block[1], 0, matrix[second(pair)], 2 * pair, 2);
    }
    return matrix;
  }

  /// The same of one pair: its rows, and the columns of its own turns.
  double[][] turningPair(double[] vector, int pair) {
    double a = vector[first(pair)] * rope.magnitude();
    double b = vector[second(pair)] * rope.magnitude();
    return new double[][] {{a, -b}, {b, a}};
  }

  /// The mean of `R_t · moments · R_tᵀ` over positions from 0 to `context`. The pairs that turn
  /// slowly have seen a part of their circle only in a short text; a basis learned from that is
  /// wrong further on.
  double[][] averaged(double[][] moments, int context) {
    int dim = moments.length;
    var mean = new double[dim][dim];
    for (int i = 0; i < POSITIONS; i++) {
      double[] turns = turns((double) context * i / (POSITIONS - 1));
      double[][] turned = turnedRows(Matrices.transpose(turnedRows(moments, turns)), turns);
      for (int row = 0; row < dim; row++) {
        for (int column = 0; column < dim; column++) {
          mean[row][column] += turned[row][column] / POSITIONS;
        }
      }
    }
    return mean;
  }

  /// `R · matrix`
  private double[][] turnedRows(double[][] matrix, double[] turns) {
    double[][] turned = matrix.clone();
    for (int pair = 0; pair < pairs; pair++) {
      double c = turns[2 * pair];
      double s = turns[2 * pair + 1];
      double[] a = matrix[first(pair)];
      double[] b = matrix[second(pair)];
      var x = new double[a.length];
      var y = new double[a.length];
      for (int i = 0; i < a.length; i++) {
        x[i] = a[i] * c - b[i] * s;
        y[i] = a[i] * s + b[i] * c;
      }
      turned[first(pair)] = x;
      turned[second(pair)] = y;
    }
    return turned;
  }
}
