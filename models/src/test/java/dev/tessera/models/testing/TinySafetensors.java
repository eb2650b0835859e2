package dev.tessera.models.testing;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.tessera.kernels.TensorType;
import dev.tessera.kernels.WeightRole;
import dev.tessera.models.testing.TinyModel.Family;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// Writes a [TinyModel] as a directory in the manner of Hugging Face.
final class TinySafetensors {
  private static final ObjectMapper JSON = new ObjectMapper();

  private TinySafetensors() {}

  static Path write(TinyModel model, Path directory, int shards) throws IOException {
    Files.createDirectories(directory);
    Map<String, byte[]> tensors = new LinkedHashMap<>();
    Map<String, Map<String, Object>> entries = new LinkedHashMap<>();
    for (WeightRole role : WeightRole.values()) {
      if (model.has(role)) {
        for (int layer = 0; layer < (TinyModel.isPerLayer(role) ? model.layers : 1); layer++) {
          String name = name(role, layer, model.family);
          tensors.put(name, data(model, role, layer));
          entries.put(name, entry(model, role));
        }
      }
    }
    if (shards == 1) {
      writeFile(directory.resolve("model.safetensors"), tensors, entries);
    } else {
      writeShards(directory, tensors, entries, shards);
    }
    JSON.writeValue(directory.resolve("config.json").toFile(), config(model));
    JSON.writeValue(
        directory.resolve("generation_config.json").toFile(),
        Map.of("temperature", 0.7, "top_p", 0.9, "eos_token_id", List.of(2)));
    JSON.writeValue(directory.resolve("tokenizer.json").toFile(), TinyVocabulary.tokenizerJson());
    Map<String, Object> tokenizerConfig = new LinkedHashMap<>();
    tokenizerConfig.put("bos_token", "<|im_start|>");
    tokenizerConfig.put("eos_token", "<|im_end|>");
    if (model.chatTemplate) {
      tokenizerConfig.put("chat_template", TinyVocabulary.CHAT_TEMPLATE);
    }
    JSON.writeValue(directory.resolve("tokenizer_config.json").toFile(), tokenizerConfig);
    return directory;
  }

  private static byte[] data(TinyModel model, WeightRole role, int layer) {
    TensorType type = model.type(role);
    boolean isNorm = model.rows(role) == 1 && model.family == Family.GEMMA3;
    if (!isNorm) {
      return TinyWeights.encode(model, role, layer, type, false);
    }
    float[] norm = TinyWeights.floats(model, role, layer);
    ByteBuffer bytes = ByteBuffer.allocate(4 * norm.length).order(ByteOrder.LITTLE_ENDIAN);
    for (float weight : norm) {
      bytes.putFloat(weight - 1);
    }
    return bytes.array();
  }

  private static Map<String, Object> entry(TinyModel model, WeightRole role) {
    Map<String, Object> entry = new LinkedHashMap<>();
    entry.put("dtype", model.type(role).name());
    int rows = model.rows(role);
    int columns = model.columns(role);
    entry.put("shape", rows == 1 ? List.of(columns) : List.of(rows, columns));
    return entry;
  }

  private static void writeShards(
      Path directory,
      Map<String, byte[]> tensors,
      Map<String, Map<String, Object>> entries,
      int shards)
      throws IOException {
    Map<String, String> weightMap = new LinkedHashMap<>();
    for (int shard = 0; shard < shards; shard++) {
      String file = "model-%05d-of-%05d.safetensors".formatted(shard + 1, shards);
      Map<String, byte[]> part = new LinkedHashMap<>();
      int i = 0;
      for (var tensor : tensors.entrySet()) {
        if (i++ % shards == shard) {
          part.put(tensor.getKey(), tensor.getValue());
          weightMap.put(tensor.getKey(), file);
        }
      }
      writeFile(directory.resolve(file), part, entries);
    }
    JSON.writeValue(
        directory.resolve("model.safetensors.index.json").toFile(),
        Map.of("metadata", Map.of("total_size", 0), "weight_map", weightMap));
  }

  private static void writeFile(
      Path file, Map<String, byte[]> tensors, Map<String, Map<String, Object>> entries)
      throws IOException {
    Map<String, Object> header = new LinkedHashMap<>();
    header.put("__metadata__", Map.of("format", "pt"));
    var data = new ByteArrayOutputStream();
    for (var tensor : tensors.entrySet()) {
      Map<String, Object> entry = new LinkedHashMap<>(entries.get(tensor.getKey()));
      int start = data.size();
      data.writeBytes(tensor.getValue());
      entry.put("data_offsets", List.of(start, data.size()));
      header.put(tensor.getKey(), entry);
    }
    Files.write(file, bytes(JSON.writeValueAsString(header), data.toByteArray()));
  }

  /// A safetensors file of a header and data.
  static byte[] bytes(String header, byte[] data) {
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    return ByteBuffer.allocate(8 + json.length + data.length)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(json.length)
        .put(json)
        .put(data)
        .array();
  }

  private static Map<String, Object> config(TinyModel model) {
    Map<String, Object> config = new LinkedHashMap<>();
    config.put(
        "model_type",
        switch (model.family) {
          case LLAMA -> "llama";
          case QWEN2 -> "qwen2";
          case QWEN3 -> "qwen3";
          case GEMMA3 -> "gemma3_text";
        });
    config.put("num_hidden_layers", model.layers);
    config.put("hidden_size", model.hidden);
    config.put("num_attention_heads", model.heads);
    config.put("num_key_value_heads", model.kvHeads);
    config.put("head_dim", model.headDim);
    config.put("intermediate_size", model.feedForward);
    config.put("max_position_embeddings", model.context);
    config.put("rms_norm_eps", (double) 1e-5f);
    config.put("vocab_size", model.vocabulary);
    config.put("tie_word_embeddings", model.tied);
    if (model.family == Family.GEMMA3) {
      config.put("rope_theta", 1e6);
      config.put("rope_local_base_freq", 1e4);
      config.put("query_pre_attn_scalar", model.headDim);
      config.put("hidden_activation", "gelu_pytorch_tanh");
    } else {
      config.put("rope_theta", 1e4);
      config.put("hidden_act", "silu");
    }
    config.put("sliding_window", model.window == 0 ? null : model.window);
    config.putAll(model.configExtras);
    return config;
  }

  private static String name(WeightRole role, int layer, Family family) {
    String block = "model.layers." + layer + ".";
    return switch (role) {
      case TOKEN_EMBEDDING -> "model.embed_tokens.weight";
      case OUTPUT_NORM -> "model.norm.weight";
      case OUTPUT -> "lm_head.weight";
      case ATTENTION_NORM -> block + "input_layernorm.weight";
      case QUERY -> block + "self_attn.q_proj.weight";
      case KEY -> block + "self_attn.k_proj.weight";
      case VALUE -> block + "self_attn.v_proj.weight";
      case QUERY_BIAS -> block + "self_attn.q_proj.bias";
      case KEY_BIAS -> block + "self_attn.k_proj.bias";
      case VALUE_BIAS -> block + "self_attn.v_proj.bias";
      case QUERY_NORM -> block + "self_attn.q_norm.weight";
      case KEY_NORM -> block + "self_attn.k_norm.weight";
      case ATTENTION_OUTPUT -> block + "self_attn.o_proj.weight";
      case POST_ATTENTION_NORM -> block + "post_attention_layernorm.weight";
      case FEED_FORWARD_NORM ->
          family == Family.GEMMA3
              ? block + "pre_feedforward_layernorm.weight"
              : block + "post_attention_layernorm.weight";
      case GATE -> block + "mlp.gate_proj.weight";
      case UP -> block + "mlp.up_proj.weight";
      case DOWN -> block + "mlp.down_proj.weight";
      case POST_FEED_FORWARD_NORM -> block + "post_feedforward_layernorm.weight";
    };
  }
}
