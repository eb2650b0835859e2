package dev.tessera.models.testing;

import dev.tessera.kernels.TensorType;
import dev.tessera.kernels.WeightRole;
import dev.tessera.models.testing.TinyModel.Family;
import java.util.Locale;
import java.util.Map;

/// Writes a [TinyModel] as a GGUF file.
final class TinyGguf {

  private TinyGguf() {}

  static byte[] write(TinyModel model, Map<String, Object> words) {
    var writer = new GgufWriter();
    String architecture = model.family.name().toLowerCase(Locale.ROOT);
    String own = architecture + ".";
    writer
        .put("general.architecture", architecture)
        .put("general.name", "Tiny " + architecture)
        .put(own + "block_count", model.layers)
        .put(own + "context_length", model.context)
        .put(own + "embedding_length", model.hidden)
        .put(own + "feed_forward_length", model.feedForward)
        .put(own + "attention.head_count", model.heads)
        .put(own + "attention.head_count_kv", model.kvHeads)
        .put(own + "attention.key_length", model.headDim)
        .put(own + "attention.value_length", model.headDim)
        .put(own + "attention.layer_norm_rms_epsilon", 1e-5f)
        .put(own + "rope.freq_base", model.family == Family.GEMMA3 ? 1e6f : 1e4f);
    if (model.window > 0) {
      writer.put(own + "attention.sliding_window", model.window);
    }
    words.forEach(writer::put);
    model.ggufExtras.forEach(writer::put);
    for (WeightRole role : WeightRole.values()) {
      if (model.has(role)) {
        int copies = TinyModel.isPerLayer(role) ? model.layers : 1;
        for (int layer = 0; layer < copies; layer++) {
          add(writer, model, role, layer);
        }
      }
    }
    return writer.bytes();
  }

  private static void add(GgufWriter writer, TinyModel model, WeightRole role, int layer) {
    TensorType type = model.type(role);
    boolean interleave =
        model.family == Family.LLAMA && (role == WeightRole.QUERY || role == WeightRole.KEY);
    byte[] data = TinyWeights.encode(model, role, layer, type, interleave);
    if (model.rows(role) == 1) {
      writer.tensor(name(role, layer), type.ggmlId(), data, model.columns(role));
    } else {
      writer.tensor(name(role, layer), type.ggmlId(), data, model.columns(role), model.rows(role));
    }
  }

  private static String name(WeightRole role, int layer) {
    String block = "blk." + layer + ".";
    return switch (role) {
      case TOKEN_EMBEDDING -> "token_embd.weight";
      case OUTPUT_NORM -> "output_norm.weight";
      case OUTPUT -> "output.weight";
      case ATTENTION_NORM -> block + "attn_norm.weight";
      case QUERY -> block + "attn_q.weight";
      case KEY -> block + "attn_k.weight";
      case VALUE -> block + "attn_v.weight";
      case QUERY_BIAS -> block + "attn_q.bias";
      case KEY_BIAS -> block + "attn_k.bias";
      case VALUE_BIAS -> block + "attn_v.bias";
      case QUERY_NORM -> block + "attn_q_norm.weight";
      case KEY_NORM -> block + "attn_k_norm.weight";
      case ATTENTION_OUTPUT -> block + "attn_output.weight";
      case POST_ATTENTION_NORM -> block + "post_attention_norm.weight";
      case FEED_FORWARD_NORM -> block + "ffn_norm.weight";
      case GATE -> block + "ffn_gate.weight";
      case UP -> block + "ffn_up.weight";
      case DOWN -> block + "ffn_down.weight";
      case POST_FEED_FORWARD_NORM -> block + "post_ffw_norm.weight";
    };
  }
}
