package dev.tessera.models;

import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.Tensor;
import dev.tessera.models.RopeScaling.Yarn;
import dev.tessera.models.gguf.Metadata;
import java.util.Arrays;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Reads the shape of a decoder from the metadata of a GGUF file.
final class GgufConfig {
  /// The tensor of Llama 3's factors on the frequencies.
  static final String ROPE_FACTORS = "rope_freqs.weight";

  /// Gemma 3 rotates within its windows as its predecessors did everywhere.
  private static final double GEMMA_WINDOW_BASE = 10_000;

  private static final int GEMMA_27B_LAYERS = 62;

  private final Settings all;
  private final Settings own;
  private final Architecture architecture;

  private GgufConfig(Settings all, Settings own, Architecture architecture) {
    this.all = all;
    this.own = own;
    this.architecture = architecture;
  }

  static ModelConfig read(Metadata metadata, Map<String, Tensor> tensors, String where)
      throws ModelFormatException {
    Settings all = Settings.of(where, metadata.values());
    String name = all.text("general.architecture");
    if (name == null) {
      throw all.refuse("general.architecture is missing");
    }
    Architecture architecture = Architecture.ofGguf(name, where);
    String prefix = architecture.ggufName + ".";
    var own = new Settings(where + ": " + prefix, key -> metadata.values().get(prefix + key));
    return new GgufConfig(all, own, architecture).read(tensors);
  }

  private ModelConfig read(Map<String, Tensor> tensors) throws ModelFormatException {
    refuseWhatIsMissingHere();
    int layers = own.integer("block_count", 1, ModelConfig.MOST_LAYERS);
    int hidden = own.integer("embedding_length", 1, ModelConfig.WIDEST);
    int heads = own.integer("attention.head_count", 1, ModelConfig.MOST_HEADS);
    int kvHeads = own.integer("attention.head_count_kv", 1, ModelConfig.MOST_HEADS, heads);
    int headDim = own.integer("attention.key_length", 1, ModelConfig.WIDEST, hidden / heads);
    int valueDim = own.integer("attention.value_length", 1, ModelConfig.WIDEST, headDim);
    if (valueDim != headDim) {
      throw own.refuse(
          "attention.value_length is %d and attention.key_length %d; only equal ones are supported"
              .formatted(valueDim, headDim));
    }
    int context = own.integer("context_length", 1, ModelConfig.LONGEST_CONTEXT);
    boolean gemma = architecture == Architecture.GEMMA3;
    RopeSpec rope = rope(headDim, context, tensors);
    int window = own.integer("attention.sliding_window", 0, ModelConfig.LONGEST_CONTEXT, 0);
    boolean[] windowed = windowed(layers, window);
    var config =
        new ModelConfig(
            architecture,
            layers,
            hidden,
            heads,
            kvHeads,
            headDim,
            own.integer("feed_forward_length", 1, ModelConfig.WIDEST),
            reach(context),
            (float)
                own.number("attention.layer_norm_rms_epsilon", 1e-12, ModelConfig.LARGEST_EPSILON),
            // The square root is not rounded to bf16: llama.cpp and transformers in fp32 agree.
            gemma ? (float) Math.sqrt(hidden) : 1,
            (float) (1 / Math.sqrt(scoreDim(layers, hidden, heads, headDim))),
            (float) own.number("attn_logit_softcapping", 0, 1e6, 0),
            (float) own.number("final_logit_softcapping", 0, 1e6, 0),
            rope,
            gemma ? windowRope(headDim) : rope,
            window,
            windowed);
    config.validate(own.where());
    return config;
  }

  private void refuseWhatIsMissingHere() throws ModelFormatException {
    if (own.integer("expert_count", 0, Integer.MAX_VALUE, 0) > 0) {
      throw own.refuse("expert_count: mixtures of experts are not supported");
    }
    if (!own.flag("attention.causal", true)) {
      throw own.refuse("attention.causal is false; only causal decoders are supported");
    }
  }

  /// The dimension whose root scales the scores. The 27B model of Gemma 3 alone was trained with
  /// another one than its heads', which the file does not say.
  private int scoreDim(int layers, int hidden, int heads, int headDim) {
    return architecture == Architecture.GEMMA3 && layers == GEMMA_27B_LAYERS
        ? hidden / heads
        : headDim;
  }

  private boolean[] windowed(int layers, int window) throws ModelFormatException {
    boolean[] windowed = new boolean[layers];
    if (window == 0) {
      return windowed;
    }
    String key = "attention.sliding_window_pattern";
    if (own.value(key) instanceof boolean[] pattern) {
      if (pattern.length < layers) {
        throw own.refuse(
            "%s has %d entries; expected one for each of %d layers"
                .formatted(key, pattern.length, layers));
      }
      return Arrays.copyOf(pattern, layers);
    }
    int usual = architecture == Architecture.GEMMA3 ? ModelConfig.GEMMA_PATTERN : 0;
    int pattern = own.integer(key, 0, ModelConfig.MOST_LAYERS, usual);
    for (int layer = 0; layer < layers; layer++) {
      windowed[layer] = pattern == 0 || (layer + 1) % pattern != 0;
    }
    return windowed;
  }

  private RopeSpec rope(int headDim, int context, Map<String, Tensor> tensors)
      throws ModelFormatException {
    double base = own.number("rope.freq_base", 1, ModelConfig.LARGEST_BASE, 10_000);
    double[] frequencies = RopeScaling.frequencies(base, rotaryDim(headDim));
    double magnitude = own.number("rope.scaling.attn_factor", 1e-3, ModelConfig.LARGEST_FACTOR, 1);
    String scaling = own.text("rope.scaling.type");
    switch (scaling == null ? "linear" : scaling) {
      case "none" -> {}
      case "linear" -> frequencies = RopeScaling.linear(frequencies, factor());
      case "yarn" -> {
        Yarn yarn = yarn(context);
        frequencies = RopeScaling.yarn(frequencies, base, yarn);
        magnitude *=
            own.number(
                "rope.scaling.yarn_attn_factor",
                1e-3,
                ModelConfig.LARGEST_FACTOR,
                yarn.magnitude());
      }
      default ->
          throw own.refuse(
              "rope.scaling.type is %s, which is not supported; supported: none, linear, yarn"
                  .formatted(scaling));
    }
    @Nullable Tensor factors = tensors.get(ROPE_FACTORS);
    if (factors != null) {
      frequencies = RopeScaling.perPair(frequencies, ropeFactors(factors, frequencies.length));
    }
    return new RopeSpec(architecture.ggufPairing, frequencies, (float) magnitude);
  }

  private RopeSpec windowRope(int headDim) throws ModelFormatException {
    double base = own.number("rope.freq_base_swa", 1, ModelConfig.LARGEST_BASE, GEMMA_WINDOW_BASE);
    return new RopeSpec(
        architecture.ggufPairing, RopeScaling.frequencies(base, rotaryDim(headDim)), 1);
  }

  private int rotaryDim(int headDim) throws ModelFormatException {
    int rotaryDim = own.integer("rope.dimension_count", 2, headDim, headDim);
    if (rotaryDim % 2 != 0) {
      throw own.refuse("rope.dimension_count is %d; expected an even number".formatted(rotaryDim));
    }
    return rotaryDim;
  }

  /// 0 stands for no scaling, as a missing key does.
  private double factor() throws ModelFormatException {
    double old = own.number("rope.scale_linear", 0, ModelConfig.LARGEST_FACTOR, 0);
    double factor = own.number("rope.scaling.factor", 0, ModelConfig.LARGEST_FACTOR, old);
    return factor == 0 ? 1 : factor;
  }

  private Yarn yarn(int context) throws ModelFormatException {
    return new Yarn(
        factor(),
        own.integer(
            "rope.scaling.original_context_length", 1, ModelConfig.LONGEST_CONTEXT, context),
        own.number("rope.scaling.yarn_beta_fast", 1e-3, ModelConfig.LARGEST_FACTOR, 32),
        own.number("rope.scaling.yarn_beta_slow", 1e-3, ModelConfig.LARGEST_FACTOR, 1),
        own.number("rope.scaling.yarn_ext_factor", 0, 1, 1),
        true);
  }

  /// Positions that the model can tell apart: with YaRN more than it was trained on.
  private int reach(int context) throws ModelFormatException {
    if (!"yarn".equals(own.text("rope.scaling.type"))) {
      return context;
    }
    Yarn yarn = yarn(context);
    double stretched = yarn.factor() * yarn.originalContext();
    return (int) Math.min(ModelConfig.LONGEST_CONTEXT, Math.max(context, stretched));
  }

  private float[] ropeFactors(Tensor tensor, int pairs) throws ModelFormatException {
    float[] factors = Vectors.read(tensor, pairs, all.where());
    for (float factor : factors) {
      if (!(factor > 0)) {
        throw all.refuse(
            "tensor %s holds the factor %s; expected positive ones"
                .formatted(ROPE_FACTORS, factor));
      }
    }
    return factors;
  }
}
