package dev.tessera.models.calibration;

import dev.tessera.kvcache.TileShape;

/// `Σ (f - f̄)(f - f̄)ᵀ` over the tokens of whole tiles, f being [Rotation#turns] at a token's
/// position and f̄ its mean over the tile: what of a turning mean is left when a tile's mean is
/// taken out. It depends on the positions alone.
final class TurnMoments {

  private static final int BLOCK = TileShape.BLOCK_TOKENS;

  private final double[][] sum;

  /// @param tiles whole tiles of each text, which begins at position 0
  TurnMoments(Rotation rotation, int[] tiles) {
    int width = 2 * rotation.pairs();
    sum = new double[width][width];
    for (int text : tiles) {
      for (int tile = 0; tile < text; tile++) {
        add(centredTurns(rotation, tile * BLOCK));
      }
    }
  }

  /// `[64][2 * pairs]`
  static double[][] centredTurns(Rotation rotation, int firstPosition) {
    int width = 2 * rotation.pairs();
    var turns = new double[BLOCK][];
    var mean = new double[width];
    for (int t = 0; t < BLOCK; t++) {
      turns[t] = rotation.turns(firstPosition + t);
      for (int i = 0; i < width; i++) {
        mean[i] += turns[t][i] / BLOCK;
      }
    }
    for (double[] turn : turns) {
      for (int i = 0; i < width; i++) {
        turn[i] -= mean[i];
      }
    }
    return turns;
  }

  private void add(double[][] turns) {
    for (double[] turn : turns) {
      for (int i = 0; i < turn.length; i++) {
        double factor = turn[i];
        for (int j = 0; j < turn.length; j++) {
          sum[i][j] += factor * turn[j];
        }
      }
    }
  }

  double[][] sum() {
    return sum;
  }
}
