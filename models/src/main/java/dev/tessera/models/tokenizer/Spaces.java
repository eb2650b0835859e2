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
}
