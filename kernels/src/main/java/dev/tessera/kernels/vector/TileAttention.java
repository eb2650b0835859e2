package dev.tessera.kernels.vector;

import dev.tessera.kernels.PartialAttention;
import dev.tessera.kernels.StepBatch.BlockTables;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/// Attention of one query over its paged context: each tile on its own, merged from the oldest to
/// the newest. What a query makes of a tile depends on their two positions alone.
///
/// Owns scratch memory: one per worker.
final class TileAttention {

  private static final ByteOrder ORDER = ByteOrder.nativeOrder();
  private static final int TOKENS = TileShape.BLOCK_TOKENS;
  private static final int LANES = Lanes.COUNT;

  private final int headDim;
  private final PartialAttention merged;
  private final float[] query; // [headDim], times the scale of the scores
  private final float[] weights = new float[TOKENS];
  private final float[] values; // [headDim], one tile's, up to a whole vector

  TileAttention(int headDim) {
    this.headDim = headDim;
    merged = new PartialAttention(headDim);
    query = new float[headDim];
    values = new float[Math.ceilDiv(headDim, LANES) * LANES];
  }

  /// What the queries of one layer share.
  ///
  /// @param layerInGroup index into the group's layers
  record Layer(
      TilePool tiles,
      BlockTables tables,
      LayerGroup group,
      int layerInGroup,
      float scale,
      float softCap) {}

  /// @param q one query head from `first`; the result goes to the same place in `out`
  void attend(
      Layer layer, int sequence, int position, int kvHead, float[] q, float[] out, int first) {
    for (int i = 0; i < headDim; i++) {
      query[i] = q[first + i] * layer.scale;
    }
    merged.clear();
    LayerGroup group = layer.group;
    int firstInWindow = group.isFull() ? 0 : Math.max(0, position - group.window() + 1);
    for (int block = 0; block <= position / TOKENS; block++) {
      int start = block * TOKENS;
      boolean hasSinks = start < group.sinkTokens();
      if (start + TOKENS <= firstInWindow && !hasSinks) {
        continue;
      }
      int ref = layer.tables.ref(sequence, block);
      MemorySegment slab = layer.tiles.slab(ref);
      score(slab, layer.tiles.keyOffset(layer.layerInGroup, kvHead));
      if (layer.softCap != 0) {
        cap(layer.softCap);
      }
      // Sinks and window may leave a gap inside a tile. What lies behind the newest visible token
      // may never have been written: it is not even multiplied by zero.
      int sinks = Math.clamp(group.sinkTokens() - (long) start, 0, TOKENS);
      int from = Math.clamp(firstInWindow - (long) start, 0, TOKENS);
      int until = Math.min(TOKENS, position - start + 1);
      Arrays.fill(weights, Math.min(sinks, until), Math.clamp(from, sinks, TOKENS), MASKED);
      Arrays.fill(weights, until, TOKENS, MASKED);
      int seen = from < until ? until : Math.min(sinks, until);
      float max = max();
      float sum = weigh(max);
      sumValues(slab, layer.tiles.valueOffset(layer.layerInGroup, kvHead), seen);
      merged.merge(max, sum, values, 0);
    }
    merged.write(out, first);
  }

  private static final float MASKED = Float.NEGATIVE_INFINITY;

  /// weights = query · keys. The four sixteens of a tile advance together: four chains.
  private void score(MemorySegment slab, long keys) {
    long step = 16L * Float.BYTES;
    long sixteen = step * headDim;
    for (int lane = 0; lane < 16; lane += LANES) {
      FloatVector a = FloatVector.zero(Lanes.SPECIES);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector d = a;
      long at = keys + (long) lane * Float.BYTES;
      for (int i = 0; i < headDim; i++, at += step) {
        FloatVector qi = Lanes.splat(query[i]);
        a = qi.fma(load(slab, at), a);
        b = qi.fma(load(slab, at + sixteen), b);
        c = qi.fma(load(slab, at + 2 * sixteen), c);
        d = qi.fma(load(slab, at + 3 * sixteen), d);
      }
      a.intoArray(weights, lane);
      b.intoArray(weights, lane + 16);
      c.intoArray(weights, lane + 32);
      d.intoArray(weights, lane + 48);
    }
  }

  private void cap(float softCap) {
    for (int i = 0; i < TOKENS; i += LANES) {
      Lanes.tanh(Lanes.load(weights, i).div(softCap)).mul(softCap).intoArray(weights, i);
    }
  }

  private float max() {
    FloatVector max = Lanes.load(weights, 0);
    for (int i = LANES; i < TOKENS; i += LANES) {
      max = max.max(Lanes.load(weights, i));
    }
    return max.reduceLanes(VectorOperators.MAX); // the same in any order
  }

  /// weights = exp(scores - max)
  ///
  /// @return their sum
  private float weigh(float max) {
    FloatVector sum = FloatVector.zero(Lanes.SPECIES);
    for (int i = 0; i < TOKENS; i += LANES) {
      FloatVector weight = Lanes.exp(Lanes.load(weights, i).sub(max));
      weight.intoArray(weights, i);
      sum = sum.add(weight);
    }
    return Lanes.sum(sum);
  }

  /// values = weights · V over the first `seen` tokens of the tile.
  private void sumValues(MemorySegment slab, long tile, int seen) {
    long row = (long) Float.BYTES * headDim;
    int first = 0;
    for (; first + 4 * LANES <= headDim; first += 4 * LANES) {
      FloatVector a = FloatVector.zero(Lanes.SPECIES);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector d = a;
      long at = tile + (long) Float.BYTES * first;
      for (int token = 0; token < seen; token++, at += row) {
        FloatVector weight = Lanes.splat(weights[token]);
        a = weight.fma(load(slab, at), a);
        b = weight.fma(load(slab, at + (long) Float.BYTES * LANES), b);
        c = weight.fma(load(slab, at + 2L * Float.BYTES * LANES), c);
        d = weight.fma(load(slab, at + 3L * Float.BYTES * LANES), d);
      }
      a.intoArray(values, first);
      b.intoArray(values, first + LANES);
      c.intoArray(values, first + 2 * LANES);
      d.intoArray(values, first + 3 * LANES);
    }
    for (; first < headDim; first += LANES) {
      var inside = Lanes.SPECIES.indexInRange(first, headDim);
      FloatVector a = FloatVector.zero(Lanes.SPECIES);
      long at = tile + (long) Float.BYTES * first;
      for (int token = 0; token < seen; token++, at += row) {
        FloatVector value = FloatVector.fromMemorySegment(Lanes.SPECIES, slab, at, ORDER, inside);
        a = Lanes.splat(weights[token]).fma(value, a);
      }
      a.intoArray(values, first);
    }
  }

  private static FloatVector load(MemorySegment slab, long at) {
    return FloatVector.fromMemorySegment(Lanes.SPECIES, slab, at, ORDER);
  }
}
