package dev.tessera.server.bench;

/// Something that generates tokens and can be timed: the engine itself, or a server over HTTP.
public interface Probe {

  /// Generates `newTokens` tokens after a prompt, greedily and past any end token.
  ///
  /// @return `[1 + tokens]` times of [System#nanoTime]: of the request, then of each token's
  ///   arrival
  long[] generate(int[] prompt, int newTokens) throws Exception;

  /// Tokens that prompt and output may have together.
  int contextTokens();

  /// Ids below this are tokens.
  int vocabulary();
}
