package dev.tessera.server.engine;

import dev.tessera.kvcache.HashChain;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/// An accepted request inside the engine: what its samples share.
final class LiveRequest {
  private static final long FOREVER = Long.MAX_VALUE / 2;

  final GenerationRequest request;
  final TokenQueue queue;
  final long arrival;
  final long seed;
  final HashChain chain;
  final List<Sequence> sequences = new ArrayList<>();
  final List<FinishReason> reasons;

  /// Whether the prompt's blocks have been published once: then the other samples find them.
  boolean promptPublished;

  boolean scheduled;

  /// When its reader was last woken for tokens, by the engine's clock.
  long delivered;

  int finishedSamples;
  int generatedTokens;
  int preemptions;

  /// @param arrival counts up with every accepted request
  /// @param chain hashes of the prompt's blocks
  LiveRequest(
      GenerationRequest request, TokenQueue queue, long arrival, long seed, HashChain chain) {
    this.request = request;
    this.queue = queue;
    this.arrival = arrival;
    this.seed = seed;
    this.chain = chain;
    this.delivered = queue.accepted() - FOREVER;
    this.reasons = new ArrayList<>(Collections.nCopies(request.samples(), FinishReason.ABORT));
  }

  boolean isFinished() {
    return finishedSamples == request.samples();
  }
}
