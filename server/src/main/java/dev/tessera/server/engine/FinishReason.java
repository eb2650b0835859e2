package dev.tessera.server.engine;

/// Why a sample ended.
public enum FinishReason {
  /// An end token or a stop token of the request, or its reader found a stop string.
  STOP,
  /// `max_tokens` or the context window was reached.
  LENGTH,
  /// Its reader cancelled it.
  ABORT,
  /// It failed alone, for example with NaN logits.
  ERROR
}
