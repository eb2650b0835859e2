package dev.tessera.server.http;

import java.util.List;
import org.jspecify.annotations.Nullable;

/// Finds the first stop string in a text that grows, wherever the pieces are cut.
///
/// "First" is the match that ends first; among matches with the same end the longest. That is what
/// a reader of single characters would find, so the result does not depend on tokens.
final class StopStrings {
  private final List<String> stops;
  private final int longest;

  StopStrings(List<String> stops) {
    this.stops = stops;
    this.longest = stops.stream().mapToInt(String::length).max().orElse(0);
  }

  record Match(String stop, int start, int end) {}

  /// The first match that ends after `from`, or null.
  @Nullable Match find(CharSequence text, int from) {
    if (longest == 0) {
      return null;
    }
    for (int end = from + 1; end <= text.length(); end++) {
      Match best = null;
      for (String stop : stops) {
        if (endsWith(text, end, stop, stop.length())
            && (best == null || stop.length() > best.stop.length())) {
          best = new Match(stop, end - stop.length(), end);
        }
      }
      if (best != null) {
        return best;
      }
    }
    return null;
  }

  /// How many characters at the text's end could be the beginning of a stop string.
  int held(CharSequence text) {
    for (int length = Math.min(longest - 1, text.length()); length > 0; length--) {
      for (String stop : stops) {
        if (length < stop.length() && endsWith(text, text.length(), stop, length)) {
          return length;
        }
      }
    }
    return 0;
  }

  /// Whether the text up to `end` ends with the first `length` characters of `stop`.
  private static boolean endsWith(CharSequence text, int end, String stop, int length) {
    int start = end - length;
    if (start < 0) {
      return false;
    }
    for (int i = 0; i < length; i++) {
      if (text.charAt(start + i) != stop.charAt(i)) {
        return false;
      }
    }
    return true;
  }
}
