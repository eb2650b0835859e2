package dev.tessera.server.http;

import dev.tessera.server.engine.TokenEvent.Scored;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A prompt as its answer has to speak of it.
final class PromptInfo {
  private final int[] tokens;
  private final @Nullable String echo;
  private final List<Scored> scored = new ArrayList<>();

  /// @param echo text to put before every sample's own, or null
  PromptInfo(int[] tokens, @Nullable String echo) {
    this.tokens = tokens;
    this.echo = echo;
  }

  int[] tokens() {
    return tokens;
  }

  @Nullable String echo() {
    return echo;
  }

  /// Adds the log probability of the prompt's next token; the first token never has one.
  void score(Scored token) {
    scored.add(token);
  }

  List<Scored> scored() {
    return scored;
  }
}
