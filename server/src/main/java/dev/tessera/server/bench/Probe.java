package dev.tessera.server.bench;

/// Something that generates tokens and can be timed: the engine itself, or a server over HTTP.
public interface Probe {

  /// Generates `newTokens` tokens after a prompt, greedily and past any end token.
  ///
  /// @return `[1 + tokens]` times of [System#nanoTime]: of the request, then of each token's
  ///   arrival
  long[] generate(int[] prompt, int newTokens) throws Exception;

  /// Processor time that the client's own threads have taken so far; 0 where there is no client.
  default long clientCpuNanos() {
    return 0;
  }

  /// Tokens that prompt and output may have together.
  int contextTokens();

  /// Ids below this are tokens.
  int vocabulary();
}
