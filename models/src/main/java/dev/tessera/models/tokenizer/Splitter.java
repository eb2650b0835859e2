package dev.tessera.models.tokenizer;

/// One rule that cuts a text into pieces: a regular expression of a model family, written out as a
/// scanner. A regular-expression engine would backtrack on a text chosen to hurt it; these read
/// every character a bounded number of times.
@FunctionalInterface
interface Splitter {

  /// The end of the piece that starts at `from`: greater than `from`, at most `to`. What the rule
  /// does not match is a piece too, up to the next match.
  int end(String text, int from, int to);
}
