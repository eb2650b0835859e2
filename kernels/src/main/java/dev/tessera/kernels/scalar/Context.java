package dev.tessera.kernels.scalar;

import dev.tessera.kernels.StepBatch.BlockTables;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.TileShape;

/// What a query of one sequence can see in one layer: its tiles, by position.
record Context(Tiles tiles, BlockTables tables, LayerGroup group, int sequence, int layerInGroup) {

  /// Stores K and V of one token.
  ///
  /// @param k `[kvHeads][headDim]` from `first`
  /// @param v the same
  void store(int position, int kvHeads, double[] k, double[] v, int first) {
    int headDim = tiles.headDim();
    int ref = ref(position);
    for (int head = 0; head < kvHeads; head++) {
      for (int i = 0; i < headDim; i++) {
        int at = first + head * headDim + i;
        tiles.put(Tiles.Vector.KEY, ref, layerInGroup, head, position, i, k[at]);
        tiles.put(Tiles.Vector.VALUE, ref, layerInGroup, head, position, i, v[at]);
      }
    }
  }

  /// `softmax(softCap(q · K * scale)) · V` over the positions that the query sees.
  ///
  /// @param q one query head, at `first`
  /// @param out where the result goes, at `first` too
  void attend(
      int position, int kvHead, double scale, double softCap, double[] q, double[] out, int first) {
    int headDim = tiles.headDim();
    var scores = new double[position + 1];
    double max = Double.NEGATIVE_INFINITY;
    for (int seen = 0; seen <= position; seen++) {
      if (sees(position, seen)) {
        int ref = ref(seen);
        double dot = 0;
        for (int i = 0; i < headDim; i++) {
          dot += q[first + i] * tiles.get(Tiles.Vector.KEY, ref, layerInGroup, kvHead, seen, i);
        }
        scores[seen] = Textbook.softCap(dot * scale, softCap);
        max = Math.max(max, scores[seen]);
      }
    }
    double sum = 0;
    var weighted = new double[headDim];
    for (int seen = 0; seen <= position; seen++) {
      if (sees(position, seen)) {
        int ref = ref(seen);
        double weight = Math.exp(scores[seen] - max);
        sum += weight;
        for (int i = 0; i < headDim; i++) {
          weighted[i] += weight * tiles.get(Tiles.Vector.VALUE, ref, layerInGroup, kvHead, seen, i);
        }
      }
    }
    for (int i = 0; i < headDim; i++) {
      out[first + i] = weighted[i] / sum;
    }
  }

  private boolean sees(int position, int seen) {
    return group.isFull() || position - seen < group.window() || seen < group.sinkTokens();
  }

  private int ref(int position) {
    return tables.ref(sequence, position / TileShape.BLOCK_TOKENS);
  }
}
