package dev.tessera.kernels;

import dev.tessera.kernels.StepBatch.BlockTables;
import dev.tessera.kernels.StepBatch.Coolings;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.TileShape;
import java.util.stream.IntStream;

/// Attention of some queries of one sequence over its whole context, in one layer.
///
/// The queries are the last `queries` positions of the context. Nothing is rotated.
///
/// @param scale factor on the scores
/// @param softCap 0 for none
/// @param window tokens that a query sees, itself included; 0 for all
/// @param sinkTokens tokens at the start that stay visible in spite of the window
/// @param q `[queries][heads][headDim]`
/// @param k `[context][kvHeads][headDim]`
/// @param v `[context][kvHeads][headDim]`
public record AttentionProblem(
    int heads,
    int kvHeads,
    int headDim,
    int queries,
    int context,
    float scale,
    float softCap,
    int window,
    int sinkTokens,
    float[] q,
    float[] k,
    float[] v) {

  public AttentionProblem {
    Shapes.require("q", q.length, queries, heads, headDim);
    Shapes.require("k", k.length, context, kvHeads, headDim);
    Shapes.require("v", v.length, context, kvHeads, headDim);
    if (queries > context) {
      throw new IllegalArgumentException(queries + " queries in a context of " + context);
    }
  }

  /// Blocks of the context.
  public int blocks() {
    return Math.ceilDiv(context, TileShape.BLOCK_TOKENS);
  }

  /// The problem's block table: in every form, a block lies in the slab of its own number.
  public BlockTables tables(CooledForms forms) {
    int[] starts = {0, blocks()};
    int[] first = {0};
    return new BlockTables(
        starts,
        first,
        first,
        IntStream.range(0, blocks()).map(block -> BlockRef.of(BlockRef.EXACT, block)).toArray(),
        IntStream.rangeClosed(1, forms.of(0).size())
            .mapToObj(form -> refs(forms, form))
            .toArray(int[][]::new));
  }

  private int[] refs(CooledForms forms, int form) {
    return IntStream.range(0, blocks())
        .map(block -> reads(forms, block, form) ? BlockRef.of(form, block) : BlockRef.NONE)
        .toArray();
  }

  /// Whether a query of the problem reads a block in a form.
  private boolean reads(CooledForms forms, int block, int form) {
    int firstQuery = (context - queries) / TileShape.BLOCK_TOKENS;
    return IntStream.range(Math.max(firstQuery, block), blocks())
        .anyMatch(query -> forms.form(0, query, block) == form);
  }

  /// What has to cool before the queries attend, all of it from the exact form.
  public Coolings coolings(CooledForms forms) {
    int[] to =
        IntStream.rangeClosed(1, forms.of(0).size())
            .flatMap(form -> IntStream.of(refs(forms, form)))
            .filter(ref -> ref != BlockRef.NONE)
            .toArray();
    int[] blocks = IntStream.of(to).map(BlockRef::slab).toArray();
    int[] from = IntStream.of(blocks).map(block -> BlockRef.of(BlockRef.EXACT, block)).toArray();
    return new Coolings(blocks, from, to);
  }
}
