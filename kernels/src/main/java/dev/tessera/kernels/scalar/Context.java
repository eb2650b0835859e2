package dev.tessera.kernels.scalar;

import dev.tessera.kernels.AttentionMass;
import dev.tessera.kernels.StepBatch.BlockTables;
import dev.tessera.kernels.codec.CodedProducts;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.TileShape;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// What a query of one sequence can see in one layer: its tiles, by position.
record Context(
    Tiles tiles,
    CooledTiles cooled,
    CodedProducts products,
    BlockTables tables,
    LayerGroup group,
    int sequence,
    int layerInGroup,
    @Nullable AttentionMass mass) {

  /// Stores K and V of one token.
  ///
  /// @param k `[kvHeads][headDim]` from `first`
  /// @param v the same
  void store(int position, int kvHeads, double[] k, double[] v, int first) {
    int headDim = tiles.headDim();
    int ref = tables.ref(sequence, position / TileShape.BLOCK_TOKENS);
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
    var x = new double[headDim];
    var scores = new double[position + 1];
    double max = Double.NEGATIVE_INFINITY;
    var rounding = new ProductRounding(products, Arrays.copyOfRange(q, first, first + headDim));
    for (int seen = 0; seen <= position; seen++) {
      if (sees(position, seen)) {
        read(Tiles.Vector.KEY, position, seen, kvHead, x);
        double dot = 0;
        for (int i = 0; i < headDim; i++) {
          dot += q[first + i] * x[i];
        }
        dot += rounding.ofScore(tile(Tiles.Vector.KEY, position, seen, kvHead), seen);
        scores[seen] = Textbook.softCap(dot * scale, softCap);
        max = Math.max(max, scores[seen]);
      }
    }
    double sum = 0;
    var weighted = new double[headDim];
    for (int seen = 0; seen <= position; seen++) {
      if (sees(position, seen)) {
        read(Tiles.Vector.VALUE, position, seen, kvHead, x);
        double weight = Math.exp(scores[seen] - max);
        sum += weight;
        rounding.weigh(tile(Tiles.Vector.VALUE, position, seen, kvHead), seen, weight);
        for (int i = 0; i < headDim; i++) {
          weighted[i] += weight * x[i];
        }
      }
    }
    noteMass(position, kvHead, scores, max, sum);
    double[] rounded = rounding.ofValues();
    for (int i = 0; i < headDim; i++) {
      out[first + i] = (weighted[i] + rounded[i]) / sum;
    }
  }

  /// Notes which part of the weights falls to each block.
  private void noteMass(int position, int kvHead, double[] scores, double max, double sum) {
    float[] shares = mass == null ? null : mass.shares(group.id(), kvHead);
    if (mass == null || shares == null || !mass.measures(group.id(), sequence)) {
      return;
    }
    for (int block = 0; block <= position / TileShape.BLOCK_TOKENS; block++) {
      double weights = 0;
      int first = block * TileShape.BLOCK_TOKENS;
      for (int seen = first;
          seen <= Math.min(position, first + TileShape.BLOCK_TOKENS - 1);
          seen++) {
        weights += Math.exp(scores[seen] - max);
      }
      int entry = tables.starts()[sequence] + block;
      shares[entry] = Math.max(shares[entry], (float) (weights / sum));
    }
  }

  private boolean sees(int position, int seen) {
    return group.isFull() || position - seen < group.window() || seen < group.sinkTokens();
  }

  /// The form in which a query at `position` reads what is stored there.
  private int form(int position, int seen) {
    return tables.form(
        cooled.forms(),
        group.id(),
        sequence,
        position / TileShape.BLOCK_TOKENS,
        seen / TileShape.BLOCK_TOKENS);
  }

  /// The cooled tile that a query at `position` reads there; null for an exact one.
  private CooledTiles.@Nullable Tile tile(Tiles.Vector what, int position, int seen, int kvHead) {
    int form = form(position, seen);
    int ref = tables.ref(sequence, seen / TileShape.BLOCK_TOKENS, form);
    return form == BlockRef.EXACT ? null : cooled.tile(what, ref, layerInGroup, kvHead, seen);
  }

  /// Reads a token's key or value in the form in which a query at `position` does.
  private void read(Tiles.Vector what, int position, int seen, int kvHead, double[] x) {
    int form = form(position, seen);
    int ref = tables.ref(sequence, seen / TileShape.BLOCK_TOKENS, form);
    if (form == BlockRef.EXACT) {
      for (int i = 0; i < x.length; i++) {
        x[i] = tiles.get(what, ref, layerInGroup, kvHead, seen, i);
      }
    } else {
      cooled.read(what, ref, layerInGroup, kvHead, seen, x);
    }
  }
}
