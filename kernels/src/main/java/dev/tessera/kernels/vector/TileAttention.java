package dev.tessera.kernels.vector;

import dev.tessera.kernels.AttentionMass;
import dev.tessera.kernels.PartialAttention;
import dev.tessera.kernels.StepBatch.BlockTables;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/// Attention of some rows of a sequence over its paged context: each tile on its own, merged from
/// the oldest to the newest. What a query makes of a tile depends on their two positions alone;
/// several rows go over the tiles together so that a coded tile is taken apart once for all of
/// them.
///
/// Owns scratch memory: one per worker.
final class TileAttention {

  /// Rows that are worth going together.
  static final int ROWS = 16;

  private static final ByteOrder ORDER = ByteOrder.nativeOrder();
  private static final int TOKENS = TileShape.BLOCK_TOKENS;
  private static final int LANES = Lanes.COUNT;

  private final int headDim;
  private final List<Query> queries = new ArrayList<>(); // [rows][heads], as many as ever needed
  private final float[] weights = new float[TOKENS];
  private final float[] values; // [headDim], one tile's, up to a whole vector
  private final CodedTile keyTile;
  private final CodedTile valueTile;
  private int keyRef; // what keyTile and valueTile hold
  private int valueRef;

  TileAttention(int headDim) {
    this.headDim = headDim;
    values = new float[Math.ceilDiv(headDim, LANES) * LANES];
    keyTile = new CodedTile(headDim);
    valueTile = new CodedTile(headDim);
  }

  /// One query head on its way over the tiles.
  private static final class Query {
    final PartialAttention merged;
    final float[] scaled; // [headDim], times the scale of the scores
    float @Nullable [] inBasis; // of the coded keys, which share one
    float[] logs = {}; // [blocks], logarithms of the blocks' weights, where they are measured

    Query(int headDim) {
      merged = new PartialAttention(headDim);
      scaled = new float[headDim];
    }
  }

  /// What the queries of one layer share.
  ///
  /// @param layerInGroup index into the group's layers
  record Layer(
      TilePool tiles,
      CooledPool cooled,
      BlockTables tables,
      LayerGroup group,
      int layerInGroup,
      float scale,
      float softCap,
      @Nullable AttentionMass mass) {}

  /// Attends from consecutive positions, with the query heads that share a KV head.
  ///
  /// @param position of the first row
  /// @param q the first row's first query head lies at `first`, its others behind it, the next
  ///   row's `stride` further on; results go to the same places in `out`
  void attend(
      Layer layer,
      int sequence,
      int position,
      int rows,
      int kvHead,
      int heads,
      float[] q,
      float[] out,
      int first,
      int stride) {
    keyRef = BlockRef.NONE;
    valueRef = BlockRef.NONE;
    boolean measures = layer.mass != null && layer.mass.measures(layer.group.id(), sequence);
    for (int i = 0; i < rows * heads; i++) {
      if (i == queries.size()) {
        queries.add(new Query(headDim));
      }
      Query query = queries.get(i);
      query.merged.clear();
      query.inBasis = null;
      int at = first + i / heads * stride + i % heads * headDim;
      for (int j = 0; j < headDim; j++) {
        query.scaled[j] = q[at + j] * layer.scale;
      }
      query.logs = new float[measures ? position / TOKENS + 1 : 0];
    }
    for (int block = 0; block <= (position + rows - 1) / TOKENS; block++) {
      for (int row = Math.max(0, block * TOKENS - position); row < rows; row++) {
        List<Query> ofRow = queries.subList(row * heads, (row + 1) * heads);
        attend(layer, sequence, position + row, block, kvHead, ofRow);
      }
    }
    for (int i = 0; i < rows * heads; i++) {
      queries.get(i).merged.write(out, first + i / heads * stride + i % heads * headDim);
    }
    if (measures) {
      noteMass(layer, sequence, kvHead, queries.subList(0, heads));
    }
  }

  /// Notes which part of each query's weights falls to each block.
  private static void noteMass(Layer layer, int sequence, int kvHead, List<Query> heads) {
    float[] shares = layer.mass == null ? null : layer.mass.shares(layer.group.id(), kvHead);
    int first = layer.tables.starts()[sequence];
    for (Query query : heads) {
      double whole = query.merged.max() + Math.log(query.merged.sum());
      for (int block = 0; shares != null && block < query.logs.length; block++) {
        float share = (float) Math.exp(query.logs[block] - whole);
        shares[first + block] = Math.max(shares[first + block], share);
      }
    }
  }

  /// The heads of one row over one block.
  private void attend(
      Layer layer, int sequence, int position, int block, int kvHead, List<Query> heads) {
    LayerGroup group = layer.group;
    int firstInWindow = group.isFull() ? 0 : Math.max(0, position - group.window() + 1);
    int start = block * TOKENS;
    boolean hasSinks = start < group.sinkTokens();
    if (start + TOKENS <= firstInWindow && !hasSinks) {
      return;
    }
    // Sinks and window may leave a gap inside a tile. What lies behind the newest visible token
    // may never have been written: it is not even multiplied by zero.
    int sinks = Math.clamp(group.sinkTokens() - (long) start, 0, TOKENS);
    int from = Math.clamp(firstInWindow - (long) start, 0, TOKENS);
    int until = Math.min(TOKENS, position - start + 1);
    int seen = from < until ? until : Math.min(sinks, until);
    int form =
        layer.tables.form(layer.cooled.forms(), group.id(), sequence, position / TOKENS, block);
    int ref = layer.tables.ref(sequence, block, form);
    for (Query query : heads) {
      score(layer, ref, block, kvHead, query);
      if (layer.softCap != 0) {
        cap(layer.softCap);
      }
      Arrays.fill(weights, Math.min(sinks, until), Math.clamp(from, sinks, TOKENS), MASKED);
      Arrays.fill(weights, until, TOKENS, MASKED);
      float max = max();
      float sum = weigh(max);
      sumValues(layer, ref, block, kvHead, sum, seen);
      query.merged.merge(max, sum, values, 0);
      if (query.logs.length > 0) {
        query.logs[block] = (float) (max + Math.log(sum));
      }
    }
  }

  private void score(Layer layer, int ref, int block, int kvHead, Query query) {
    int form = BlockRef.form(ref);
    if (form == BlockRef.EXACT) {
      long at = layer.tiles.keyOffset(layer.layerInGroup, kvHead);
      score(query.scaled, layer.tiles.slab(ref), at);
      return;
    }
    MemorySegment slab = layer.cooled.slab(ref);
    long at = layer.cooled.offset(true, form, layer.layerInGroup, kvHead);
    TileCode code = layer.cooled.code(true, form, layer.layerInGroup, kvHead);
    if (code == null) {
      score(query.scaled, slab, at);
      return;
    }
    if (keyRef != ref) {
      keyTile.load(code, layer.cooled.turn(code), slab, at, block * TOKENS);
      keyRef = ref;
    }
    float[] inBasis = query.inBasis;
    if (inBasis == null) {
      inBasis = code.basis().query(query.scaled);
      query.inBasis = inBasis;
    }
    keyTile.score(query.scaled, inBasis, weights);
  }

  private void sumValues(Layer layer, int ref, int block, int kvHead, float sum, int seen) {
    int form = BlockRef.form(ref);
    if (form == BlockRef.EXACT) {
      long at = layer.tiles.valueOffset(layer.layerInGroup, kvHead);
      sumValues(layer.tiles.slab(ref), at, seen);
      return;
    }
    MemorySegment slab = layer.cooled.slab(ref);
    long at = layer.cooled.offset(false, form, layer.layerInGroup, kvHead);
    TileCode code = layer.cooled.code(false, form, layer.layerInGroup, kvHead);
    if (code == null) {
      sumValues(slab, at, seen);
      return;
    }
    if (valueRef != ref) {
      valueTile.load(code, null, slab, at, block * TOKENS);
      valueRef = ref;
    }
    valueTile.sumValues(code, weights, sum, values);
  }

  private static final float MASKED = Float.NEGATIVE_INFINITY;

  /// weights = query · keys. The four sixteens of a tile advance together: four chains.
  private void score(float[] query, MemorySegment slab, long keys) {
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
