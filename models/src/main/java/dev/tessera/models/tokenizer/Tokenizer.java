package dev.tessera.models.tokenizer;

import java.util.OptionalInt;
import java.util.Set;

/// Text to token ids and back. Immutable and safe for many threads.
public interface Tokenizer {

  /// Number of tokens with a text. The logits may be wider (padding rows of the output matrix).
  int vocabularySize();

  /// Text to ids.
  ///
  /// @param addSpecial whether to add what the model wants around a prompt (BOS, EOS)
  /// @param parseSpecial whether the text of a special token stands for it; user-defined tokens
  ///   match in either case. Text from users is never parsed so, chat templates' output is
  int[] encode(String text, boolean addSpecial, boolean parseSpecial);

  /// The token as the vocabulary writes it, for example `Ġthe` or `<|im_end|>`.
  String piece(int token);

  /// The UTF-8 bytes that the token adds to a text; those of a special token are its name.
  byte[] bytes(int token);

  /// Whether the token steers the model rather than being text.
  boolean isSpecial(int token);

  /// Ids to text. Bytes that are not UTF-8 become U+FFFD.
  String decode(int[] tokens, boolean skipSpecial);

  /// A decoder for one stream of tokens, which start a text.
  TokenStream stream(boolean skipSpecial);

  /// A decoder for tokens that continue a text: a space before their first word stays, where
  /// [#stream] removes the one that SentencePiece puts before every text.
  default TokenStream continuation(boolean skipSpecial) {
    return stream(skipSpecial);
  }

  OptionalInt beginOfSequence();

  OptionalInt endOfSequence();

  /// Tokens that end a generation: EOS, end of turn and their kind.
  Set<Integer> endOfGeneration();
}
