package dev.tessera.models.tokenizer;

import java.util.List;

/// Cuts a text into the words inside which merges happen: every rule cuts the pieces that the one
/// before it left.
record PreTokenizer(List<Splitter> splitters) {

  /// The whole text is one word.
  static final PreTokenizer NONE = new PreTokenizer(List.of());

  PreTokenizer {
    splitters = List.copyOf(splitters);
  }

  static PreTokenizer of(Splitter... splitters) {
    return new PreTokenizer(List.of(splitters));
  }

  @FunctionalInterface
  interface WordConsumer {
    void word(int from, int to);
  }

  void split(String text, int from, int to, WordConsumer words) {
    split(0, text, from, to, words);
  }

  private void split(int rule, String text, int from, int to, WordConsumer words) {
    if (rule == splitters.size()) {
      if (from < to) {
        words.word(from, to);
      }
      return;
    }
    Splitter splitter = splitters.get(rule);
    for (int start = from; start < to; ) {
      int end = splitter.end(text, start, to);
      split(rule + 1, text, start, end, words);
      start = end;
    }
  }
}
