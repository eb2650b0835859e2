package dev.tessera.models;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Finds the chat template in a Hugging Face directory: `chat_template.jinja`, else in
/// `tokenizer_config.json` as a text or as a list of named ones.
final class HuggingFaceTemplate {
  private static final long LONGEST = 4 << 20;

  private HuggingFaceTemplate() {}

  /// The source, or null where there is none.
  static @Nullable String source(Path directory) throws IOException, ModelFormatException {
    String file = read(directory.resolve("chat_template.jinja"));
    if (file != null) {
      return file;
    }
    return switch (configured(directory)) {
      case null -> null;
      case String source -> source;
      case List<?> named when named.isEmpty() -> null;
      case List<?> named -> {
        String usual = named(named, "default", named.size() == 1);
        if (usual == null) {
          throw new ModelFormatException(
              "tokenizer_config.json: chat_template is a list without one named default");
        }
        yield usual;
      }
      case Object other ->
          throw new ModelFormatException(
              "tokenizer_config.json: chat_template is a %s; expected a text or a list"
                  .formatted(other.getClass().getSimpleName()));
    };
  }

  /// The source of a second template, for conversations with tools; null where there is none.
  static @Nullable String toolUse(Path directory) throws IOException, ModelFormatException {
    String file = read(directory.resolve("additional_chat_templates").resolve("tool_use.jinja"));
    if (file != null || Files.exists(directory.resolve("chat_template.jinja"))) {
      return file;
    }
    return configured(directory) instanceof List<?> named ? named(named, "tool_use", false) : null;
  }

  private static @Nullable Object configured(Path directory)
      throws IOException, ModelFormatException {
    Map<String, Object> config = JsonFile.read(directory.resolve("tokenizer_config.json"));
    return config == null ? null : config.get("chat_template");
  }

  private static @Nullable String read(Path file) throws IOException, ModelFormatException {
    if (!Files.exists(file)) {
      return null;
    }
    if (Files.size(file) > LONGEST) {
      throw new ModelFormatException(
          "%s: %,d bytes; expected at most %,d"
              .formatted(file.getFileName(), Files.size(file), LONGEST));
    }
    return Files.readString(file);
  }

  private static @Nullable String named(List<?> templates, String name, boolean any) {
    for (Object item : templates) {
      if (item instanceof Map<?, ?> entry
          && (any || name.equals(entry.get("name")))
          && entry.get("template") instanceof String source) {
        return source;
      }
    }
    return null;
  }
}
