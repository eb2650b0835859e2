package dev.tessera.kernels.vector;

import dev.tessera.kernels.AttentionProblem;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.Primitives;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kernels.Tensor;
import dev.tessera.kvcache.KvGeometry;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.Arena;
import java.util.List;

/// The backend's operations one by one.
final class VectorPrimitives implements Primitives {

  private final Parallel parallel;

  VectorPrimitives(Parallel parallel) {
    this.parallel = parallel;
  }

  @Override
  public float[] attend(AttentionProblem problem, CooledForms forms) {
    int headDim = problem.headDim();
    int heads = problem.heads();
    int kvHeads = problem.kvHeads();
    var group = new LayerGroup(0, List.of(0), problem.window(), problem.sinkTokens());
    var kv = new KvGeometry(List.of(group), 1, kvHeads, headDim);
    var tiles = new TilePool(TilePool.layout(group, kv), problem.blocks());
    var cooled = new CooledPool(forms, 0, tiles);
    for (int position = 0; position < problem.context(); position++) {
      for (int head = 0; head < kvHeads; head++) {
        tiles.store(
            position / TileShape.BLOCK_TOKENS,
            0,
            head,
            position,
            problem.k(),
            problem.v(),
            (position * kvHeads + head) * headDim);
      }
    }
    StepBatch.Coolings coolings = problem.coolings(forms);
    for (int i = 0; i < coolings.count(); i++) {
      for (int head = 0; head < kvHeads; head++) {
        cooled.cool(0, head, coolings.blocks()[i], coolings.from()[i], coolings.to()[i]);
      }
    }
    var layer =
        new TileAttention.Layer(
            tiles,
            cooled,
            problem.tables(forms),
            group,
            0,
            problem.scale(),
            problem.softCap(),
            null);
    var out = new float[problem.q().length];
    int shared = heads / kvHeads;
    parallel.forEach(
        Math.ceilDiv(problem.queries(), TileAttention.ROWS) * kvHeads,
        (worker, unit) -> {
          int query = unit / kvHeads * TileAttention.ROWS;
          int first = (query * heads + unit % kvHeads * shared) * headDim;
          new TileAttention(headDim)
              .attend(
                  layer,
                  0,
                  problem.context() - problem.queries() + query,
                  Math.min(TileAttention.ROWS, problem.queries() - query),
                  unit % kvHeads,
                  shared,
                  problem.q(),
                  out,
                  first,
                  heads * headDim);
        });
    return out;
  }

  @Override
  public float[] multiply(Tensor weights, float[] x, int tokens) {
    try (Arena arena = Arena.ofShared()) {
      PackedMatrix matrix = PackedMatrix.pack(weights, arena, parallel);
      int columns = weights.columns();
      int xStride = Rows.stride(columns);
      int yStride = Rows.stride(weights.rows());
      var padded = new float[tokens * xStride];
      for (int token = 0; token < tokens; token++) {
        System.arraycopy(x, token * columns, padded, token * xStride, columns);
      }
      var y = new float[tokens * yStride];
      parallel.forEach(
          matrix.panels(),
          (worker, panel) ->
              new PanelProduct().multiply(matrix, panel, padded, xStride, tokens, y, yStride));
      var result = new float[tokens * weights.rows()];
      for (int token = 0; token < tokens; token++) {
        System.arraycopy(y, token * yStride, result, token * weights.rows(), weights.rows());
      }
      return result;
    }
  }

  @Override
  public float[] rmsNorm(float[] x, float[] weight, float epsilon) {
    var y = new float[x.length];
    for (int at = 0; at < x.length; at += weight.length) {
      RowMath.rmsNorm(x, at, weight, epsilon, y, at);
    }
    return y;
  }
}
