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
    Path file = directory.resolve("chat_template.jinja");
    if (Files.exists(file)) {
      if (Files.size(file) > LONGEST) {
        throw new ModelFormatException(
            "chat_template.jinja: %,d bytes; expected at most %,d"
                .formatted(Files.size(file), LONGEST));
      }
      return Files.readString(file);
    }
    Map<String, Object> config = JsonFile.read(directory.resolve("tokenizer_config.json"));
    return switch (config == null ? null : config.get("chat_template")) {
      case null -> null;
      case String source -> source;
      case List<?> named -> choose(named);
      case Object other ->
          throw new ModelFormatException(
              "tokenizer_config.json: chat_template is a %s; expected a text or a list"
                  .formatted(other.getClass().getSimpleName()));
    };
  }

  /// The template named `default`, or the only one.
  private static @Nullable String choose(List<?> named) throws ModelFormatException {
    for (Object item : named) {
      if (item instanceof Map<?, ?> entry
          && (named.size() == 1 || "default".equals(entry.get("name")))
          && entry.get("template") instanceof String source) {
        return source;
      }
    }
    if (named.isEmpty()) {
      return null;
    }
    throw new ModelFormatException(
        "tokenizer_config.json: chat_template is a list without one named default");
  }
}
