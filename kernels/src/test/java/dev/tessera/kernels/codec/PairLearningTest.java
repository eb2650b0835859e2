package dev.tessera.kernels.codec;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.testing.SplitMix;
import dev.tessera.kvcache.CodedFormat.Role;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class PairLearningTest {

  private static final int TOKENS = 64;
  private static final int HEAD_DIM = 40;

  /// Where a few directions hold most of the vectors, codewords that were learned from others of
  /// their kind miss them by less than the universal ones.
  @ParameterizedTest
  @EnumSource(Role.class)
  void learnsWhatTheVectorsAreLike(Role role) {
    PairTable table = PairLearning.learn(role, HEAD_DIM, 2, tiles(16, 1));
    assertNotNull(table);
    TileCode learned = PairCodes.of(role, HEAD_DIM, 2, table, null);
    TileCode universal = PairCodes.universal(role, HEAD_DIM, 2, null);
    double own = 0;
    double common = 0;
    for (float[] tile : tiles(4, 2)) {
      own += error(learned, tile);
      common += error(universal, tile);
    }
    assertTrue(own < 0.7 * common, own + " against " + common);
  }

  @Test
  void learnsNothingFromAFewVectors() {
    assertNull(PairLearning.learn(Role.VALUE, HEAD_DIM, 3, tiles(7, 1)));
    assertNotNull(PairLearning.learn(Role.VALUE, HEAD_DIM, 3, tiles(8, 1)));
    List<float[]> zeros = List.of(new float[TOKENS * HEAD_DIM], new float[TOKENS * HEAD_DIM]);
    assertNull(PairLearning.learn(Role.KEY, HEAD_DIM, 2, zeros));
  }

  /// Vectors whose channels in the code's basis fade.
  private static List<float[]> tiles(int count, long seed) {
    var random = new SplitMix(seed);
    var basis = new Basis.Hadamard(HEAD_DIM);
    List<float[]> tiles = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      var tile = new float[TOKENS * HEAD_DIM];
      for (int token = 0; token < TOKENS; token++) {
        var channels = new float[HEAD_DIM];
        for (int j = 0; j < HEAD_DIM; j++) {
          channels[j] = (float) (random.gaussian() * Math.exp(-4.0 * j / HEAD_DIM));
        }
        System.arraycopy(basis.inverse(channels), 0, tile, token * HEAD_DIM, HEAD_DIM);
      }
      tiles.add(tile);
    }
    return tiles;
  }

  private static double error(TileCode code, float[] tile) {
    var bytes = MemorySegment.ofArray(new byte[(int) code.format().tileBytes()]);
    TileCodec.encode(code, tile, 0, bytes, 0);
    var decoded = new double[tile.length];
    TileCodec.decode(code, bytes, 0, 0, decoded);
    double error = 0;
    for (int i = 0; i < tile.length; i++) {
      error += Math.pow(tile[i] - decoded[i], 2);
    }
    return error;
  }
}
