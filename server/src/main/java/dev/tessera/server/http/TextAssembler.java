package dev.tessera.server.http;

import dev.tessera.models.tokenizer.TokenStream;
import org.jspecify.annotations.Nullable;

/// Turns the tokens of one sample into the text that its reader gets: whole characters only,
/// nothing that could still become a stop string, nothing after one.
final class TextAssembler {
  private final TokenStream tokens;
  private final StopStrings stops;
  private final boolean includeStop;
  private final int minTokens;
  private final StringBuilder pending = new StringBuilder();
  private int scanned; // characters of `pending` in which no stop string ends
  private int tokenCount;
  private StopStrings.@Nullable Match match;

  /// @param minTokens stop strings that end within so many tokens are plain text
  TextAssembler(TokenStream tokens, StopStrings stops, boolean includeStop, int minTokens) {
    this.tokens = tokens;
    this.stops = stops;
    this.includeStop = includeStop;
    this.minTokens = minTokens;
  }

  /// The text that is certain with this token; often empty.
  String append(int token) {
    tokenCount++;
    return add(tokens.append(token));
  }

  /// What was held back, at the end of the sample.
  String finish() {
    if (match != null) {
      return "";
    }
    String text = add(tokens.flush());
    if (match != null) {
      return text;
    }
    text += pending;
    pending.setLength(0);
    return text;
  }

  /// The stop string that ended the text, or null.
  @Nullable String stopString() {
    return match == null ? null : match.stop();
  }

  private String add(String piece) {
    if (match != null) {
      return "";
    }
    pending.append(piece);
    if (tokenCount >= minTokens) {
      match = stops.find(pending, scanned);
    }
    int certain;
    if (match != null) {
      certain = includeStop ? match.end() : match.start();
    } else {
      certain = pending.length() - stops.held(pending);
    }
    String text = pending.substring(0, certain);
    pending.delete(0, certain);
    scanned = pending.length();
    return text;
  }
}
