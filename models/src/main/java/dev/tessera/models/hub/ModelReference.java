package dev.tessera.models.hub;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// Which model to serve, as `--model` says it.
public sealed interface ModelReference {

  /// A GGUF file.
  record GgufFile(Path path) implements ModelReference {}

  /// A directory with safetensors, `config.json` and `tokenizer.json`.
  record Directory(Path path) implements ModelReference {}

  /// `hf:org/repo[:file]`.
  record HubRepository(String repository, @Nullable String file) implements ModelReference {}

  /// The default model, wherever it can be had.
  record Default() implements ModelReference {}
}
