package dev.tessera.models.tokenizer;

/// Extra white space, which some SentencePiece models were trained without.
final class Spaces {
  private Spaces() {}

  /// Removes spaces at both ends and keeps one of every run between.
  static String collapse(String text) {
    StringBuilder kept = new StringBuilder(text.length());
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      boolean extra = c == ' ' && (kept.isEmpty() || kept.charAt(kept.length() - 1) == ' ');
      if (!extra) {
        kept.append(c);
      }
    }
    if (!kept.isEmpty() && kept.charAt(kept.length() - 1) == ' ') {
      kept.setLength(kept.length() - 1);
    }
    return kept.toString();
  }

  /// Every run of two or more spaces becomes `content`.
  static String replaceRuns(String text, String content) {
    StringBuilder replaced = new StringBuilder(text.length());
    for (int i = 0; i < text.length(); ) {
      int end = i;
      while (end < text.length() && text.charAt(end) == ' ') {
        end++;
      }
      if (end - i >= 2) {
        replaced.append(content);
        i = end;
      } else {
        replaced.append(text.charAt(i++));
      }
    }
    return replaced.toString();
  }

  /// Removes white space at the ends.
  static Normalization strip(boolean left, boolean right) {
    return text -> {
      int from = 0;
      int to = text.length();
      while (left && from < to && CharacterClass.isSpace(text.charAt(from))) {
        from++;
      }
      while (right && to > from && CharacterClass.isSpace(text.charAt(to - 1))) {
        to--;
      }
      return text.substring(from, to);
    };
  }
}
