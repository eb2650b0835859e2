package dev.tessera.models.tokenizer;

/// Turns the tokens of one sequence into text as they come, never emitting half a character. The
/// pieces together are what [Tokenizer#decode] makes of all tokens. Not safe for several threads.
public interface TokenStream {

  /// The text that is complete with this token; empty while a character is unfinished.
  String append(int token);

  /// What is left at the end: unfinished bytes as U+FFFD.
  String flush();
}
