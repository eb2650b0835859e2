package dev.tessera.server.engine;

/// The engine's answer to a request.
public sealed interface Admission {
  /// It will be served; its tokens come out of the generation.
  record Accepted(Generation generation) implements Admission {}

  /// Prompt and wanted tokens exceed the context window.
  record TooLong(int promptTokens, int maxTokens, int limit) implements Admission {}

  /// The cache could not hold it even alone.
  record NeverFits(int promptTokens, int maxTokens, long capacityTokens) implements Admission {}

  /// Too many requests wait already.
  record QueueFull(int waiting, int limit) implements Admission {}

  /// Too many prompt tokens wait already.
  record PromptBacklog(long waitingTokens, long limit) implements Admission {}

  /// The server is about to stop.
  record Draining() implements Admission {}

  /// The engine has failed and the process is about to end.
  record Failed(String reason) implements Admission {}
}
