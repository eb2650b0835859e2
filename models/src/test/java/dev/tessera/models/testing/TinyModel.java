package dev.tessera.models.testing;

import dev.tessera.kernels.TensorType;
import dev.tessera.kernels.WeightRole;
import dev.tessera.models.gguf.GgufFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// A random model of a few kilobytes, as a real GGUF file or a directory of safetensors.
///
/// The same recipe writes the same weights in either format, so that the two can be compared. For
/// tests that need a model but no sense. Matrices of quantised types hold random blocks: they exist
/// only as GGUF.
public final class TinyModel {

  /// The architectures.
  public enum Family {
    LLAMA,
    QWEN2,
    QWEN3,
    GEMMA3
  }

  final Family family;
  long seed = 1;
  int layers = 2;
  int hidden = 64;
  int heads = 4;
  int kvHeads = 2;
  int headDim = 16;
  int feedForward = 96;
  int context = 512;
  int vocabulary = TinyVocabulary.SIZE;
  int window;
  boolean tied;
  boolean chatTemplate = true;
  TensorType matrices = TensorType.F32;
  TensorType embedding = TensorType.F32;
  @Nullable Path vocabularyFile;
  final Map<String, Object> ggufExtras = new LinkedHashMap<>();
  final Map<String, Object> configExtras = new LinkedHashMap<>();

  private TinyModel(Family family) {
    this.family = family;
    if (family == Family.GEMMA3) {
      layers = 7;
      window = 32;
      tied = true;
    }
  }

  /// A recipe with two layers (seven for Gemma, whose sixth sees everything), 64 channels, 4 heads
  /// of 16 and 2 KV heads.
  public static TinyModel of(Family family) {
    return new TinyModel(family);
  }

  public TinyModel seed(long value) {
    seed = value;
    return this;
  }

  public TinyModel layers(int value) {
    layers = value;
    return this;
  }

  public TinyModel hidden(int value) {
    hidden = value;
    return this;
  }

  public TinyModel heads(int queryHeads, int keyHeads, int dimension) {
    heads = queryHeads;
    kvHeads = keyHeads;
    headDim = dimension;
    return this;
  }

  public TinyModel feedForward(int value) {
    feedForward = value;
    return this;
  }

  public TinyModel context(int value) {
    context = value;
    return this;
  }

  /// Rows of the embedding: more than the tokens for padding, never fewer in a sound model.
  public TinyModel vocabulary(int rows) {
    vocabulary = rows;
    return this;
  }

  /// A real vocabulary, chat template included where it has one, from another GGUF file.
  public TinyModel vocabularyOf(Path gguf) {
    vocabularyFile = gguf;
    return this;
  }

  /// Tokens that a query sees in the windowed layers; Gemma and Mistral only.
  public TinyModel window(int value) {
    window = value;
    return this;
  }

  public TinyModel tied(boolean value) {
    tied = value;
    return this;
  }

  public TinyModel withoutChatTemplate() {
    chatTemplate = false;
    return this;
  }

  /// The types of the matrices and of the embedding with the output.
  public TinyModel types(TensorType ofMatrices, TensorType ofEmbedding) {
    matrices = ofMatrices;
    embedding = ofEmbedding;
    return this;
  }

  /// Overwrites or adds a metadata value of the GGUF file.
  public TinyModel gguf(String key, Object value) {
    ggufExtras.put(key, value);
    return this;
  }

  /// Overwrites or adds a value of `config.json`.
  public TinyModel config(String key, @Nullable Object value) {
    configExtras.put(key, value);
    return this;
  }

  /// The file's bytes.
  public byte[] gguf() throws IOException {
    Map<String, Object> words = TinyVocabulary.gguf(chatTemplate);
    if (vocabularyFile != null) {
      words = realVocabulary(vocabularyFile);
      String[] tokens = (String[]) words.get("tokenizer.ggml.tokens");
      vocabulary = Math.max(vocabulary, tokens.length);
    }
    return TinyGguf.write(this, words);
  }

  /// Writes the model as a GGUF file.
  public Path writeGguf(Path file) throws IOException {
    return Files.write(file, gguf());
  }

  /// Writes the model as Hugging Face lays out a directory, in one safetensors file.
  public Path writeSafetensors(Path directory) throws IOException {
    return TinySafetensors.write(this, directory, 1);
  }

  /// The same in several files with an index.
  public Path writeShards(Path directory, int shards) throws IOException {
    return TinySafetensors.write(this, directory, shards);
  }

  private static Map<String, Object> realVocabulary(Path gguf) throws IOException {
    Map<String, Object> words = new LinkedHashMap<>();
    try (GgufFile file = GgufFile.open(gguf)) {
      file.metadata()
          .values()
          .forEach(
              (key, value) -> {
                if (key.startsWith("tokenizer.")) {
                  words.put(key, value);
                }
              });
    } catch (dev.tessera.models.ModelFormatException e) {
      throw new IOException(e);
    }
    return words;
  }

  /// Whether the model has the weight.
  boolean has(WeightRole role) {
    return switch (role) {
      case OUTPUT -> !tied;
      case QUERY_BIAS, KEY_BIAS, VALUE_BIAS -> family == Family.QWEN2;
      case QUERY_NORM, KEY_NORM -> family == Family.QWEN3 || family == Family.GEMMA3;
      case POST_ATTENTION_NORM, POST_FEED_FORWARD_NORM -> family == Family.GEMMA3;
      default -> true;
    };
  }

  static boolean isPerLayer(WeightRole role) {
    return switch (role) {
      case TOKEN_EMBEDDING, OUTPUT_NORM, OUTPUT -> false;
      default -> true;
    };
  }

  TensorType type(WeightRole role) {
    return switch (role) {
      case TOKEN_EMBEDDING, OUTPUT -> embedding;
      default -> rows(role) == 1 ? TensorType.F32 : matrices;
    };
  }

  int rows(WeightRole role) {
    return switch (role) {
      case TOKEN_EMBEDDING, OUTPUT -> vocabulary;
      case QUERY -> heads * headDim;
      case KEY, VALUE -> kvHeads * headDim;
      case ATTENTION_OUTPUT, DOWN -> hidden;
      case GATE, UP -> feedForward;
      default -> 1;
    };
  }

  int columns(WeightRole role) {
    return switch (role) {
      case QUERY_BIAS -> heads * headDim;
      case KEY_BIAS, VALUE_BIAS -> kvHeads * headDim;
      case QUERY_NORM, KEY_NORM -> headDim;
      case ATTENTION_OUTPUT -> heads * headDim;
      case DOWN -> feedForward;
      default -> hidden;
    };
  }
}
