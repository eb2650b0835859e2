package dev.tessera.models;

import dev.tessera.models.gguf.GgufFile;
import dev.tessera.models.gguf.GgufParts;
import dev.tessera.models.safetensors.SafetensorsCheckpoint;
import dev.tessera.models.template.ChatTemplate;
import dev.tessera.models.template.ChatTemplates;
import dev.tessera.models.template.TemplateException;
import dev.tessera.models.tokenizer.Tokenizer;
import dev.tessera.models.tokenizer.Tokenizers;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/// Opens models.
public final class Models {

  private Models() {}

  /// Opens a GGUF file, or the first of a model's several, or a directory with safetensors,
  /// `config.json` and `tokenizer.json`.
  ///
  /// The weights are mapped, not read: this takes as long as it takes to read the headers, the
  /// vocabulary, and enough of the weights to find numbers that are none.
  ///
  /// @throws IOException if a file cannot be read
  /// @throws ModelFormatException if the model is damaged or not supported: one line that says what
  ///   and where
  public static Model open(Path path) throws IOException, ModelFormatException {
    if (Files.isDirectory(path)) {
      return openDirectory(path);
    }
    if (!Files.exists(path)) {
      throw new ModelFormatException(path + ": no such file or directory");
    }
    return openGguf(path);
  }

  private static Model openGguf(Path path) throws IOException, ModelFormatException {
    GgufFile file = GgufParts.open(path);
    boolean opened = false;
    try {
      String where = String.valueOf(path.getFileName());
      Settings metadata = Settings.of(where, file.metadata().values());
      Network network = Network.of(file, where);
      Tokenizer tokenizer = requireFitting(Tokenizers.fromGguf(file.metadata()), network, where);
      String name = metadata.text("general.name");
      var model =
          new LoadedModel(
              OneLine.of(name == null || name.isBlank() ? baseName(where) : name),
              Network.describe(network.config(), file.tensors()),
              Network.parameters(file.tensors()),
              file.fileBytes(),
              network.spec(),
              network.weights(),
              tokenizer,
              template(
                  metadata.text("tokenizer.chat_template"),
                  metadata.text("tokenizer.chat_template.tool_use"),
                  tokenizer,
                  where),
              Recommendations.fromGguf(metadata),
              Fingerprint.of(List.of(file.header()), file.tensors()),
              file::close);
      opened = true;
      return model;
    } finally {
      if (!opened) {
        file.close();
      }
    }
  }

  private static String baseName(String file) {
    return file.endsWith(".gguf") ? file.substring(0, file.length() - ".gguf".length()) : file;
  }

  private static Model openDirectory(Path directory) throws IOException, ModelFormatException {
    String where = String.valueOf(directory.toAbsolutePath().normalize().getFileName());
    Map<String, Object> config = JsonFile.read(directory.resolve("config.json"));
    if (config == null || !SafetensorsCheckpoint.isIn(directory)) {
      throw new ModelFormatException(
          "%s: expected config.json and model.safetensors (or its index) in the directory"
              .formatted(where));
    }
    SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.open(directory);
    boolean opened = false;
    try {
      Network network = Network.of(config, checkpoint.tensors(), where);
      Tokenizer tokenizer = requireFitting(Tokenizers.fromHuggingFace(directory), network, where);
      var model =
          new LoadedModel(
              OneLine.of(where),
              Network.describe(network.config(), checkpoint.tensors()),
              Network.parameters(checkpoint.tensors()),
              checkpoint.fileBytes(),
              network.spec(),
              network.weights(),
              tokenizer,
              template(
                  HuggingFaceTemplate.source(directory),
                  HuggingFaceTemplate.toolUse(directory),
                  tokenizer,
                  where),
              Recommendations.fromHuggingFace(directory),
              Fingerprint.of(checkpoint.headers(), checkpoint.tensors()),
              checkpoint::close);
      opened = true;
      return model;
    } finally {
      if (!opened) {
        checkpoint.close();
      }
    }
  }

  /// Every token needs a row of the embedding. There may be rows beyond: padding.
  private static Tokenizer requireFitting(Tokenizer tokenizer, Network network, String where)
      throws ModelFormatException {
    if (tokenizer.vocabularySize() > network.vocabulary()) {
      throw new ModelFormatException(
          "%s: the tokenizer has %,d tokens, but the embedding only %,d rows"
              .formatted(where, tokenizer.vocabularySize(), network.vocabulary()));
    }
    return tokenizer;
  }

  /// @param toolUse a second template, for conversations with tools
  private static @Nullable ChatTemplate template(
      @Nullable String source, @Nullable String toolUse, Tokenizer tokenizer, String where)
      throws ModelFormatException {
    if (source == null) {
      return null;
    }
    String begin = piece(tokenizer, tokenizer.beginOfSequence());
    String end = piece(tokenizer, tokenizer.endOfSequence());
    try {
      ChatTemplate template = ChatTemplates.compile(source, begin, end);
      return toolUse == null
          ? template
          : ChatTemplates.choosing(template, ChatTemplates.compile(toolUse, begin, end));
    } catch (TemplateException e) {
      throw new ModelFormatException("%s: %s".formatted(where, e.getMessage()), e);
    }
  }

  private static @Nullable String piece(Tokenizer tokenizer, OptionalInt token) {
    return token.isPresent() ? tokenizer.piece(token.getAsInt()) : null;
  }
}
