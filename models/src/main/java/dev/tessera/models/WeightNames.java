package dev.tessera.models;

import dev.tessera.kernels.WeightRole;
import java.util.Set;

/// What a file format calls the weights.
sealed interface WeightNames {

  /// @param layer from 0; meaningless for the embedding, the output norm and the output
  String name(WeightRole role, int layer);

  /// Whether a tensor may be there without having a part in the decoder.
  boolean isIrrelevant(String name);

  /// The names in GGUF files.
  record Gguf() implements WeightNames {
    @Override
    public String name(WeightRole role, int layer) {
      return switch (role) {
        case TOKEN_EMBEDDING -> "token_embd.weight";
        case OUTPUT_NORM -> "output_norm.weight";
        case OUTPUT -> "output.weight";
        default -> "blk." + layer + "." + inLayer(role);
      };
    }

    private static String inLayer(WeightRole role) {
      return switch (role) {
        case TOKEN_EMBEDDING, OUTPUT_NORM, OUTPUT -> throw new IllegalArgumentException();
        case ATTENTION_NORM -> "attn_norm.weight";
        case QUERY -> "attn_q.weight";
        case KEY -> "attn_k.weight";
        case VALUE -> "attn_v.weight";
        case QUERY_BIAS -> "attn_q.bias";
        case KEY_BIAS -> "attn_k.bias";
        case VALUE_BIAS -> "attn_v.bias";
        case QUERY_NORM -> "attn_q_norm.weight";
        case KEY_NORM -> "attn_k_norm.weight";
        case ATTENTION_OUTPUT -> "attn_output.weight";
        case POST_ATTENTION_NORM -> "post_attention_norm.weight";
        case FEED_FORWARD_NORM -> "ffn_norm.weight";
        case GATE -> "ffn_gate.weight";
        case UP -> "ffn_up.weight";
        case DOWN -> "ffn_down.weight";
        case POST_FEED_FORWARD_NORM -> "post_ffw_norm.weight";
      };
    }

    @Override
    public boolean isIrrelevant(String name) {
      return name.equals(GgufConfig.ROPE_FACTORS);
    }
  }

  /// The names in safetensors of Hugging Face.
  ///
  /// @param decoder what the names of the decoder's weights start with
  /// @param head what the name of the output matrix starts with
  /// @param postNorms whether the outputs of attention and feed-forward are normalised too, which
  ///   changes what the norm between them is called
  record HuggingFace(String decoder, String head, boolean postNorms) implements WeightNames {

    /// The names by which the tensors go: a multimodal model wraps its decoder, and not always in
    /// the same way.
    static HuggingFace of(Set<String> tensors, boolean postNorms) {
      if (tensors.contains("language_model.model.embed_tokens.weight")) {
        return new HuggingFace("language_model.model.", "language_model.", postNorms);
      }
      if (tensors.contains("model.language_model.embed_tokens.weight")) {
        return new HuggingFace("model.language_model.", "", postNorms);
      }
      return new HuggingFace("model.", "", postNorms);
    }

    @Override
    public String name(WeightRole role, int layer) {
      return switch (role) {
        case TOKEN_EMBEDDING -> decoder + "embed_tokens.weight";
        case OUTPUT_NORM -> decoder + "norm.weight";
        case OUTPUT -> head + "lm_head.weight";
        default -> decoder + "layers." + layer + "." + inLayer(role);
      };
    }

    private String inLayer(WeightRole role) {
      return switch (role) {
        case TOKEN_EMBEDDING, OUTPUT_NORM, OUTPUT -> throw new IllegalArgumentException();
        case ATTENTION_NORM -> "input_layernorm.weight";
        case QUERY -> "self_attn.q_proj.weight";
        case KEY -> "self_attn.k_proj.weight";
        case VALUE -> "self_attn.v_proj.weight";
        case QUERY_BIAS -> "self_attn.q_proj.bias";
        case KEY_BIAS -> "self_attn.k_proj.bias";
        case VALUE_BIAS -> "self_attn.v_proj.bias";
        case QUERY_NORM -> "self_attn.q_norm.weight";
        case KEY_NORM -> "self_attn.k_norm.weight";
        case ATTENTION_OUTPUT -> "self_attn.o_proj.weight";
        case POST_ATTENTION_NORM -> "post_attention_layernorm.weight";
        case FEED_FORWARD_NORM ->
            postNorms ? "pre_feedforward_layernorm.weight" : "post_attention_layernorm.weight";
        case GATE -> "mlp.gate_proj.weight";
        case UP -> "mlp.up_proj.weight";
        case DOWN -> "mlp.down_proj.weight";
        case POST_FEED_FORWARD_NORM -> "post_feedforward_layernorm.weight";
      };
    }

    @Override
    public boolean isIrrelevant(String name) {
      return name.endsWith(".rotary_emb.inv_freq")
          || name.contains("vision_tower.")
          || name.contains("multi_modal_projector.");
    }
  }
}
