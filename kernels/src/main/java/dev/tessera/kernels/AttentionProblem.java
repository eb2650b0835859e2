package dev.tessera.kernels;

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
}
