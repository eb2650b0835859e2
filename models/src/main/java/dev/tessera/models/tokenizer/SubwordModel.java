package dev.tessera.models.tokenizer;

/// Turns one word of a text into tokens. Immutable and safe for many threads.
sealed interface SubwordModel permits BytePairModel, UnigramModel {

  /// Appends the tokens of `text[from, to)`, which is well-formed UTF-16 and not empty.
  void encode(String text, int from, int to, PairMerger scratch, TokenBuffer tokens);
}
