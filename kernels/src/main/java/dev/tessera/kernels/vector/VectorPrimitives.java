package dev.tessera.kernels.vector;

import dev.tessera.kernels.AttentionProblem;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.Primitives;
import dev.tessera.kernels.StepBatch.BlockTables;
import dev.tessera.kernels.Tensor;
import dev.tessera.kvcache.KvGeometry;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.stream.IntStream;

/// The backend's operations one by one.
final class VectorPrimitives implements Primitives {

  private final Parallel parallel;

  VectorPrimitives(Parallel parallel) {
    this.parallel = parallel;
  }

  @Override
  public float[] attend(AttentionProblem problem, CooledForms forms) {
    if (!forms.of(0).isEmpty()) {
      throw new UnsupportedOperationException(VectorBackend.NAME + " reads exact tiles only");
    }
    int headDim = problem.headDim();
    int heads = problem.heads();
    int kvHeads = problem.kvHeads();
    var group = new LayerGroup(0, List.of(0), problem.window(), problem.sinkTokens());
    var kv = new KvGeometry(List.of(group), 1, kvHeads, headDim);
    int blocks = Math.ceilDiv(problem.context(), TileShape.BLOCK_TOKENS);
    var tables =
        BlockTables.exact(
            new int[] {0, blocks},
            new int[] {0},
            new int[] {0},
            IntStream.range(0, blocks).toArray());
    var tiles = new TilePool(TilePool.layout(group, kv), blocks);
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
    var layer =
        new TileAttention.Layer(tiles, tables, group, 0, problem.scale(), problem.softCap());
    var out = new float[problem.q().length];
    parallel.forEach(
        problem.queries() * heads,
        (worker, unit) -> {
          int position = problem.context() - problem.queries() + unit / heads;
          int kvHead = unit % heads / (heads / kvHeads);
          new TileAttention(headDim)
              .attend(layer, 0, position, kvHead, problem.q(), out, unit * headDim);
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
