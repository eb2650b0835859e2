package dev.tessera.models.calibration;

import dev.tessera.kernels.codec.PairLearning;
import dev.tessera.kernels.codec.PairTable;
import dev.tessera.kernels.codec.Turn;
import dev.tessera.kvcache.CodedFormat.Role;
import dev.tessera.kvcache.TileShape;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Whole tiles of one layer and KV head, in half precision, from which codewords are learned.
final class TileSamples {

  private static final int TOKENS = TileShape.BLOCK_TOKENS;

  private final int headDim;
  private final PairDemand demand;
  private final List<short[]> keys = new ArrayList<>();
  private final List<short[]> values = new ArrayList<>();
  private final List<Integer> positions = new ArrayList<>();
  private final short[] key; // the tiles in hand, [64][headDim]
  private final short[] value;

  TileSamples(int headDim, PairDemand demand) {
    this.headDim = headDim;
    this.demand = demand;
    key = new short[TOKENS * headDim];
    value = new short[TOKENS * headDim];
  }

  /// Those of a text come in order, from position 0 on; an unfinished tile is forgotten.
  void add(float[] vectors, int keyAt, int valueAt, int position) {
    int token = position % TOKENS;
    for (int i = 0; i < headDim; i++) {
      key[token * headDim + i] = Float.floatToFloat16(vectors[keyAt + i]);
      value[token * headDim + i] = Float.floatToFloat16(vectors[valueAt + i]);
    }
    if (token == TOKENS - 1) {
      positions.add(position - token);
      if (!demand.keys().isEmpty()) {
        keys.add(key.clone());
      }
      if (!demand.values().isEmpty()) {
        values.add(value.clone());
      }
    }
  }

  /// @param turn the mean that will be taken out of the keys before they are coded
  List<LearnedPairs> learn(@Nullable Turn turn) {
    List<float[]> keyTiles = new ArrayList<>();
    for (int tile = 0; tile < keys.size(); tile++) {
      keyTiles.add(withoutTurn(floats(keys.get(tile)), turn, positions.get(tile)));
    }
    List<LearnedPairs> learned = new ArrayList<>();
    learn(Role.KEY, demand.keys(), keyTiles, learned);
    List<float[]> valueTiles = values.stream().map(TileSamples::floats).toList();
    learn(Role.VALUE, demand.values(), valueTiles, learned);
    return learned;
  }

  private void learn(
      Role role, Set<Integer> widths, List<float[]> tiles, List<LearnedPairs> learned) {
    for (int width : widths) {
      PairTable table = PairLearning.learn(role, headDim, width, tiles);
      if (table != null) {
        learned.add(new LearnedPairs(role, width, table));
      }
    }
  }

  private float[] withoutTurn(float[] tile, @Nullable Turn turn, int firstPosition) {
    for (int token = 0; turn != null && token < TOKENS; token++) {
      float[] turned = turn.at(firstPosition + token);
      for (int i = 0; i < headDim; i++) {
        tile[token * headDim + i] -= turned[i];
      }
    }
    return tile;
  }

  private static float[] floats(short[] halves) {
    var x = new float[halves.length];
    for (int i = 0; i < x.length; i++) {
      x[i] = Float.float16ToFloat(halves[i]);
    }
    return x;
  }
}
