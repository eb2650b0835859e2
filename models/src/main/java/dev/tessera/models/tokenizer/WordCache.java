package dev.tessera.models.tokenizer;

import org.jspecify.annotations.Nullable;

/// The tokens of short words met before, in a fixed number of places: a new word takes the place of
/// the one whose hash it shares. Entries are immutable, so a race between threads only loses one.
final class WordCache {
  static final int MAX_CHARACTERS = 32;
  private static final int PLACES = 1 << 14;

  private record Entry(String word, int[] tokens) {}

  private final @Nullable Entry[] entries = new @Nullable Entry[PLACES];

  /// The tokens of `text[from, to)`, not to be changed, or null.
  int @Nullable [] get(String text, int from, int to) {
    Entry entry = entries[place(text, from, to)];
    return entry != null && entry.word.length() == to - from && text.startsWith(entry.word, from)
        ? entry.tokens
        : null;
  }

  void put(String text, int from, int to, int[] tokens) {
    entries[place(text, from, to)] = new Entry(text.substring(from, to), tokens);
  }

  private static int place(String text, int from, int to) {
    int hash = 0;
    for (int i = from; i < to; i++) {
      hash = hash * 31 + text.charAt(i);
    }
    return (hash * 0x9E3779B9) >>> (32 - 14);
  }
}
