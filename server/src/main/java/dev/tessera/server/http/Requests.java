package dev.tessera.server.http;

import dev.tessera.server.engine.GenerationRequest;

/// Requests of clients into requests of the engine.
final class Requests {
  private Requests() {}

  static GenerationRequest engine(
      String id, int[] prompt, int maxTokens, GenerationOptions options, Exchange exchange) {
    String salt = options.cacheSalt() == null ? "" : options.cacheSalt();
    return new GenerationRequest(
        id,
        prompt,
        options.samples(),
        maxTokens,
        Math.min(options.minTokens(), maxTokens),
        options.stopTokens(),
        options.ignoreEos(),
        options.sampling(),
        options.priority(),
        exchange.tenant() + salt);
  }
}
