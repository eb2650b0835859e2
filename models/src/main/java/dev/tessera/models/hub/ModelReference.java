package dev.tessera.models.hub;

import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// Which model to serve, as `--model` says it.
public sealed interface ModelReference {

  /// A GGUF file.
  record GgufFile(Path path) implements ModelReference {}

  /// A directory with safetensors, `config.json` and `tokenizer.json`.
  record Directory(Path path) implements ModelReference {}

  /// `hf:org/repo[:file]`; the file may also be named by its quantisation, as in `:Q8_0`.
  record HubRepository(String repository, @Nullable String file) implements ModelReference {}

  /// The default model, wherever it can be had.
  record Default() implements ModelReference {}

  /// What a text stands for: nothing for the default model, `hf:…` for the hub, else a path.
  ///
  /// @throws IllegalArgumentException if a name after `hf:` is malformed: names become paths and
  ///   addresses, so they are held to letters, digits and a few marks
  static ModelReference parse(@Nullable String text) {
    if (text == null || text.isBlank()) {
      return new Default();
    }
    if (text.startsWith("hf:")) {
      return HubNames.parse(text);
    }
    Path path = Path.of(text);
    return Files.isDirectory(path) ? new Directory(path) : new GgufFile(path);
  }
}
