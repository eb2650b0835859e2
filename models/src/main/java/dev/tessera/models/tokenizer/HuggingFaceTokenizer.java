package dev.tessera.models.tokenizer;

import dev.tessera.models.ModelFormatException;
import java.nio.file.Path;

final class HuggingFaceTokenizer {
  private HuggingFaceTokenizer() {}

  @SuppressWarnings("DoNotCallSuggester")
  static Tokenizer read(Path directory) throws ModelFormatException {
    throw new ModelFormatException(directory + ": tokenizer.json cannot be read");
  }
}
