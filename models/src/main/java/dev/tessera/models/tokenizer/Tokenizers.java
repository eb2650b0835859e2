package dev.tessera.models.tokenizer;

import dev.tessera.models.ModelFormatException;
import dev.tessera.models.gguf.Metadata;
import java.nio.file.Path;

/// Makes tokenizers from model files.
public final class Tokenizers {
  private Tokenizers() {}

  /// From the `tokenizer.ggml.*` keys of a GGUF file.
  ///
  /// @throws ModelFormatException if the tokenizer is damaged or of a kind that is not supported
  public static Tokenizer fromGguf(Metadata metadata) throws ModelFormatException {
    return new GgufTokenizer(metadata).build();
  }

  /// From the `tokenizer.json` of a Hugging Face directory, with its `tokenizer_config.json` and
  /// `generation_config.json` where they exist.
  ///
  /// @throws ModelFormatException if the tokenizer is damaged or of a kind that is not supported
  public static Tokenizer fromHuggingFace(Path directory) throws ModelFormatException {
    return HuggingFaceTokenizer.read(directory);
  }
}
