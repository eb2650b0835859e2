package dev.tessera.kernels.codec;

import dev.tessera.kvcache.CodedFormat.Role;
import dev.tessera.kvcache.TileShape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Learns codewords for [PairCodes] from tiles of one layer and KV head: Lloyd's iteration from the
/// universal codewords on. All pairs of channels share them: the basis makes them alike, and a
/// codebook of its own for each pair would learn the sample by heart (measured: a divergence of
/// 0.0033 in the place of 0.0031).
public final class PairLearning {

  private static final int TOKENS = TileShape.BLOCK_TOKENS;
  private static final int ROUNDS = 12;

  /// Vectors for each codeword without which nothing can be learned.
  private static final int LEAST_PER_CODEWORD = 8;

  private PairLearning() {}

  /// @param tiles each `[64][headDim]`, without a turning mean
  /// @param width bits of a channel, 2 or 3
  /// @return null where there are too few vectors
  public static @Nullable PairTable learn(Role role, int headDim, int width, List<float[]> tiles) {
    List<float[]> directions = new ArrayList<>();
    var basis = new Basis.Hadamard(headDim);
    for (float[] tile : tiles) {
      addDirections(role == Role.KEY ? centred(tile, headDim) : tile, basis, directions);
    }
    if (directions.size() < LEAST_PER_CODEWORD * PairTable.codewords(width)) {
      return null;
    }
    var points = new double[directions.size() * headDim];
    for (int i = 0; i < points.length; i++) {
      points[i] = directions.get(i / headDim)[i % headDim];
    }
    var weights = new double[points.length / 2];
    Arrays.fill(weights, 1);
    double[] codewords = GaussianPairs.table(width).points();
    for (int round = 0; round < ROUNDS; round++) {
      KMeans.round(points, weights, codewords);
    }
    return PairTable.of(codewords);
  }

  private static float[] centred(float[] tile, int headDim) {
    float[] centred = tile.clone();
    for (int i = 0; i < headDim; i++) {
      float sum = 0;
      for (int token = 0; token < TOKENS; token++) {
        sum += tile[token * headDim + i];
      }
      for (int token = 0; token < TOKENS; token++) {
        centred[token * headDim + i] -= sum / TOKENS;
      }
    }
    return centred;
  }

  /// The vectors in the basis, of unit size as the codec takes it: a mean square of one.
  private static void addDirections(float[] tile, Basis basis, List<float[]> directions) {
    int headDim = basis.headDim();
    for (int token = 0; token < TOKENS; token++) {
      float[] y = basis.forward(Arrays.copyOfRange(tile, token * headDim, (token + 1) * headDim));
      double square = 0;
      for (float value : y) {
        square += value * value;
      }
      if (square == 0) {
        continue;
      }
      float unit = (float) Math.sqrt(headDim / square);
      for (int i = 0; i < headDim; i++) {
        y[i] *= unit;
      }
      directions.add(y);
    }
  }
}
