package dev.tessera.models.tokenizer;

import java.util.Set;

/// The names by which families call tokens that end a turn. Files often declare only one of them,
/// and some declare them as ordinary text.
final class EndOfGeneration {
  /// The names that llama.cpp knows, so that a file ends its turns here as it does there.
  private static final Set<String> NAMES =
      Set.of(
          "<|eot_id|>",
          "<|im_end|>",
          "<|end|>",
          "<|return|>",
          "<|call|>",
          "<|flush|>",
          "<|calls|>",
          "<end_of_turn>",
          "<|endoftext|>",
          "</s>",
          "<|eom_id|>",
          "<EOT>",
          "_<EOT>",
          "[EOT]",
          "[EOS]",
          "<|end_of_text|>",
          "<end_of_utterance>",
          "<eos>",
          "<turn|>",
          "<|tool_response>",
          "<｜end▁of▁sentence｜>",
          "[e~[");

  /// Fill-in-the-middle: padding and the start of another file or repository.
  private static final Set<String> FILE_BORDERS =
      Set.of(
          "<|fim_pad|>",
          "<fim-pad>",
          "<fim_pad>",
          "<PAD>",
          "[PAD]",
          "<|fim_repo|>",
          "<|repo_name|>",
          "<fim-repo>",
          "<REPO>",
          "<reponame>",
          "<|file_sep|>");

  private EndOfGeneration() {}

  /// Whether a token of this name ends a generation, even where the file declares it to be text.
  static boolean isEnd(String name, Vocabulary.Kind kind) {
    // Qwen's vocabulary has an HTML tag of this name, which is text indeed.
    boolean tag = name.equals("</s>") && kind == Vocabulary.Kind.NORMAL;
    return !tag && (NAMES.contains(name) || FILE_BORDERS.contains(name));
  }

  /// gpt-oss has `<|end|>` inside a turn: there `<|return|>` and `<|call|>` end it.
  static boolean endIsInsideTurns(Vocabulary vocabulary) {
    return vocabulary.id("<|end|>") >= 0
        && ((vocabulary.id("<|return|>") >= 0 && vocabulary.id("<|call|>") >= 0)
            || (vocabulary.id("<|calls|>") >= 0 && vocabulary.id("<|flush|>") >= 0));
  }
}
