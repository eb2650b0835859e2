package dev.tessera.kernels;

/// The part that a weight plays in a decoder. Matrices are `[outputs][inputs]`.
public enum WeightRole {
  /// `[vocabulary][hidden]`
  TOKEN_EMBEDDING,
  /// `[hidden]`
  OUTPUT_NORM,
  /// `[vocabulary][hidden]`; absent when the embedding is tied
  OUTPUT,
  /// `[hidden]`
  ATTENTION_NORM,
  /// `[heads * headDim][hidden]`
  QUERY,
  /// `[kvHeads * headDim][hidden]`
  KEY,
  /// `[kvHeads * headDim][hidden]`
  VALUE,
  /// `[heads * headDim]`; optional
  QUERY_BIAS,
  /// `[kvHeads * headDim]`; optional
  KEY_BIAS,
  /// `[kvHeads * headDim]`; optional
  VALUE_BIAS,
  /// `[headDim]`, applied to each query head before RoPE; optional
  QUERY_NORM,
  /// `[headDim]`, applied to each key head before RoPE; optional
  KEY_NORM,
  /// `[hidden][heads * headDim]`
  ATTENTION_OUTPUT,
  /// `[hidden]`, applied to the attention's output before the residual; optional
  POST_ATTENTION_NORM,
  /// `[hidden]`
  FEED_FORWARD_NORM,
  /// `[feedForward][hidden]`
  GATE,
  /// `[feedForward][hidden]`
  UP,
  /// `[hidden][feedForward]`
  DOWN,
  /// `[hidden]`, applied to the feed-forward's output before the residual; optional
  POST_FEED_FORWARD_NORM
}
