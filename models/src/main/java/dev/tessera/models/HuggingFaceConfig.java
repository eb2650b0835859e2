package dev.tessera.models;

import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.RopeSpec.Pairing;
import dev.tessera.models.RopeScaling.Yarn;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Reads the shape of a decoder from the `config.json` of Hugging Face. Where a key is missing, the
/// default is that of the family in `transformers`.
final class HuggingFaceConfig {

  private final Settings settings;
  private final Architecture architecture;
  private final boolean gemma;

  private HuggingFaceConfig(Settings settings, Architecture architecture) {
    this.settings = settings;
    this.architecture = architecture;
    this.gemma = architecture == Architecture.GEMMA3;
  }

  /// @param values the object in the file
  static HuggingFaceConfig of(Map<String, Object> values, String where)
      throws ModelFormatException {
    Settings settings = Settings.of(where, values);
    String type = settings.text("model_type");
    if (type == null) {
      throw settings.refuse("model_type is missing");
    }
    Architecture architecture = Architecture.ofHuggingFace(type, where);
    if (settings.has("quantization_config")) {
      throw settings.refuse(
          "quantization_config: quantised safetensors are not supported; use a GGUF file");
    }
    Settings text = settings.section("text_config");
    return new HuggingFaceConfig(text == null ? settings : text, architecture);
  }

  Architecture architecture() {
    return architecture;
  }

  /// Whether the embedding serves as the output matrix; null where nothing is said.
  @Nullable Boolean tied() throws ModelFormatException {
    return settings.has("tie_word_embeddings") ? settings.flag("tie_word_embeddings", gemma) : null;
  }

  /// Rows of the embedding; 0 where nothing is said.
  int vocabulary() throws ModelFormatException {
    return settings.integer("vocab_size", 1, Integer.MAX_VALUE, 0);
  }

  ModelConfig read() throws ModelFormatException {
    int layers = settings.integer("num_hidden_layers", 1, ModelConfig.MOST_LAYERS);
    int hidden = settings.integer("hidden_size", 1, ModelConfig.WIDEST);
    int heads = integer("num_attention_heads", ModelConfig.MOST_HEADS, 8);
    int kvHeads =
        settings.integer("num_key_value_heads", 1, ModelConfig.MOST_HEADS, gemma ? 4 : heads);
    int headDim = settings.integer("head_dim", 1, ModelConfig.WIDEST, usualHeadDim(hidden, heads));
    int context = integer("max_position_embeddings", ModelConfig.LONGEST_CONTEXT, 131_072);
    requireActivation();
    if (settings.flag("use_bidirectional_attention", false)) {
      throw settings.refuse(
          "use_bidirectional_attention is true; only causal decoders are supported");
    }
    boolean[] windowed = windowed(layers);
    int window = anyOf(windowed) ? window() : 0;
    double scoreDim = settings.number("query_pre_attn_scalar", 1, 1e6, gemma ? 256 : headDim);
    var config =
        new ModelConfig(
            architecture,
            layers,
            hidden,
            heads,
            kvHeads,
            headDim,
            settings.integer("intermediate_size", 1, ModelConfig.WIDEST),
            reach(context),
            (float) settings.number("rms_norm_eps", 1e-12, ModelConfig.LARGEST_EPSILON, 1e-6),
            // The square root is not rounded to bf16: llama.cpp and transformers in fp32 agree.
            gemma ? (float) Math.sqrt(hidden) : 1,
            (float) (1 / Math.sqrt(gemma ? scoreDim : headDim)),
            (float) settings.number("attn_logit_softcapping", 0, 1e6, 0),
            (float) settings.number("final_logit_softcapping", 0, 1e6, 0),
            rope("full_attention", headDim, context),
            gemma ? windowRope(headDim) : rope("sliding_attention", headDim, context),
            window,
            windowed);
    config.validate(settings.where());
    return config;
  }

  /// A number that only Gemma's configurations may leave out.
  private int integer(String key, int most, int gemmas) throws ModelFormatException {
    return gemma ? settings.integer(key, 1, most, gemmas) : settings.integer(key, 1, most);
  }

  private int usualHeadDim(int hidden, int heads) {
    return switch (architecture) {
      case LLAMA, QWEN2 -> hidden / heads;
      case QWEN3 -> 128;
      case GEMMA3 -> 256;
    };
  }

  private void requireActivation() throws ModelFormatException {
    String expected = gemma ? "gelu_pytorch_tanh" : "silu";
    String key = settings.has("hidden_activation") ? "hidden_activation" : "hidden_act";
    String found = settings.text(key);
    if (found != null && !found.equals(expected)) {
      throw settings.refuse(
          "%s is %s, which is not supported for %s; supported: %s"
              .formatted(key, found, architecture.ggufName, expected));
    }
  }

  private int window() throws ModelFormatException {
    return gemma
        ? settings.integer("sliding_window", 1, ModelConfig.LONGEST_CONTEXT, 4096)
        : settings.integer("sliding_window", 1, ModelConfig.LONGEST_CONTEXT);
  }

  private boolean[] windowed(int layers) throws ModelFormatException {
    if (settings.value("layer_types") instanceof List<?> types) {
      return windowed(layers, types);
    }
    boolean[] windowed = new boolean[layers];
    switch (architecture) {
      case LLAMA -> Arrays.fill(windowed, settings.has("sliding_window"));
      case QWEN2, QWEN3 -> {
        if (settings.flag("use_sliding_window", false) && settings.has("sliding_window")) {
          int first = settings.integer("max_window_layers", 0, Integer.MAX_VALUE, 28);
          Arrays.fill(windowed, Math.min(first, layers), layers, true);
        }
      }
      case GEMMA3 -> {
        String key =
            settings.has("sliding_window_pattern")
                ? "sliding_window_pattern"
                : "_sliding_window_pattern";
        int pattern = settings.integer(key, 1, ModelConfig.MOST_LAYERS, ModelConfig.GEMMA_PATTERN);
        for (int layer = 0; layer < layers; layer++) {
          windowed[layer] = (layer + 1) % pattern != 0;
        }
      }
    }
    return windowed;
  }

  private boolean[] windowed(int layers, List<?> types) throws ModelFormatException {
    if (types.size() != layers) {
      throw settings.refuse(
          "layer_types has %d entries; expected one for each of %d layers"
              .formatted(types.size(), layers));
    }
    boolean[] windowed = new boolean[layers];
    for (int layer = 0; layer < layers; layer++) {
      Object type = types.get(layer);
      if (!"sliding_attention".equals(type) && !"full_attention".equals(type)) {
        throw settings.refuse(
            "layer_types names %s; supported: full_attention, sliding_attention".formatted(type));
      }
      windowed[layer] = "sliding_attention".equals(type);
    }
    return windowed;
  }

  private static boolean anyOf(boolean[] flags) {
    for (boolean flag : flags) {
      if (flag) {
        return true;
      }
    }
    return false;
  }

  /// The settings of the rotation: `rope_parameters` since transformers 5, one for each kind of
  /// layer where the kinds differ, else `rope_scaling`.
  private @Nullable Settings ropeSettings(String layerKind) throws ModelFormatException {
    Settings parameters = settings.section("rope_parameters");
    if (parameters == null) {
      return settings.section("rope_scaling");
    }
    return parameters.has(layerKind) ? parameters.section(layerKind) : parameters;
  }

  private double base(@Nullable Settings rope, double usual) throws ModelFormatException {
    Settings from = rope != null && rope.has("rope_theta") ? rope : settings;
    return from.number("rope_theta", 1, ModelConfig.LARGEST_BASE, usual);
  }

  private RopeSpec windowRope(int headDim) throws ModelFormatException {
    Settings parameters = settings.section("rope_parameters");
    Settings own = parameters == null ? null : parameters.section("sliding_attention");
    double base =
        own == null
            ? settings.number("rope_local_base_freq", 1, ModelConfig.LARGEST_BASE, 10_000)
            : own.number("rope_theta", 1, ModelConfig.LARGEST_BASE, 10_000);
    return new RopeSpec(Pairing.SPLIT, RopeScaling.frequencies(base, rotaryDim(headDim)), 1);
  }

  private RopeSpec rope(String layerKind, int headDim, int context) throws ModelFormatException {
    Settings rope = ropeSettings(layerKind);
    double base = base(rope, gemma ? 1_000_000 : 10_000);
    double[] frequencies = RopeScaling.frequencies(base, rotaryDim(headDim));
    double magnitude = 1;
    if (rope != null) {
      switch (scalingType(rope)) {
        case "default" -> {}
        case "linear" ->
            frequencies =
                RopeScaling.linear(
                    frequencies, rope.number("factor", 1e-3, ModelConfig.LARGEST_FACTOR));
        case "llama3" -> frequencies = llama3(frequencies, rope);
        case "yarn" -> {
          Yarn yarn = yarn(rope, context);
          frequencies = RopeScaling.yarn(frequencies, base, yarn);
          magnitude = magnitude(rope, yarn);
        }
        default ->
            throw rope.refuse(
                "the scaling %s is not supported; supported: default, linear, llama3, yarn"
                    .formatted(scalingType(rope)));
      }
    }
    return new RopeSpec(Pairing.SPLIT, frequencies, (float) magnitude);
  }

  private static String scalingType(Settings rope) throws ModelFormatException {
    String type = rope.text("rope_type");
    if (type == null) {
      type = rope.text("type");
    }
    return type == null ? "default" : type;
  }

  private int rotaryDim(int headDim) throws ModelFormatException {
    double share = settings.number("partial_rotary_factor", 0, 1, 1);
    int rotaryDim = (int) (headDim * share);
    if (rotaryDim < 2 || rotaryDim % 2 != 0) {
      throw settings.refuse(
          "partial_rotary_factor is %s, which turns %d of %d elements; expected an even number"
              .formatted(share, rotaryDim, headDim));
    }
    return rotaryDim;
  }

  private static double[] llama3(double[] frequencies, Settings rope) throws ModelFormatException {
    double low = rope.number("low_freq_factor", 1e-3, ModelConfig.LARGEST_FACTOR);
    double high = rope.number("high_freq_factor", 1e-3, ModelConfig.LARGEST_FACTOR);
    if (high <= low) {
      throw rope.refuse(
          "high_freq_factor is %s; expected more than low_freq_factor, %s".formatted(high, low));
    }
    return RopeScaling.llama3(
        frequencies,
        rope.number("factor", 1e-3, ModelConfig.LARGEST_FACTOR),
        low,
        high,
        rope.integer("original_max_position_embeddings", 1, ModelConfig.LONGEST_CONTEXT));
  }

  private static Yarn yarn(Settings rope, int context) throws ModelFormatException {
    return new Yarn(
        rope.number("factor", 1e-3, ModelConfig.LARGEST_FACTOR),
        rope.integer("original_max_position_embeddings", 1, ModelConfig.LONGEST_CONTEXT, context),
        rope.number("beta_fast", 1e-3, ModelConfig.LARGEST_FACTOR, 32),
        rope.number("beta_slow", 1e-3, ModelConfig.LARGEST_FACTOR, 1),
        1,
        rope.flag("truncate", true));
  }

  private static double magnitude(Settings rope, Yarn yarn) throws ModelFormatException {
    if (rope.has("attention_factor")) {
      return rope.number("attention_factor", 1e-3, ModelConfig.LARGEST_FACTOR);
    }
    double mscale = rope.number("mscale", 0, ModelConfig.LARGEST_FACTOR, 0);
    double allDims = rope.number("mscale_all_dim", 0, ModelConfig.LARGEST_FACTOR, 0);
    return mscale == 0 || allDims == 0
        ? yarn.magnitude()
        : Yarn.magnitude(yarn.factor(), mscale) / Yarn.magnitude(yarn.factor(), allDims);
  }

  /// Positions that the model can tell apart: with YaRN more than it was trained on.
  private int reach(int context) throws ModelFormatException {
    Settings rope = ropeSettings("full_attention");
    if (rope == null || !scalingType(rope).equals("yarn")) {
      return context;
    }
    Yarn yarn = yarn(rope, context);
    double stretched = yarn.factor() * yarn.originalContext();
    return (int) Math.min(ModelConfig.LONGEST_CONTEXT, Math.max(context, stretched));
  }
}
