package dev.tessera.models;

import dev.tessera.kernels.DecoderSpec.Activation;
import dev.tessera.kernels.RopeSpec.Pairing;
import dev.tessera.kernels.WeightRole;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/// The families of decoders that are supported: by what they differ from the plain one, Llama's.
enum Architecture {
  LLAMA("llama", Pairing.INTERLEAVED, Activation.SILU),
  QWEN2("qwen2", Pairing.SPLIT, Activation.SILU),
  QWEN3("qwen3", Pairing.SPLIT, Activation.SILU),
  GEMMA3("gemma3", Pairing.SPLIT, Activation.GELU_TANH);

  /// `general.architecture` of a GGUF file.
  final String ggufName;

  /// How the rows of Q and K are ordered in GGUF files; in safetensors they are always split.
  final Pairing ggufPairing;

  final Activation activation;

  Architecture(String ggufName, Pairing ggufPairing, Activation activation) {
    this.ggufName = ggufName;
    this.ggufPairing = ggufPairing;
    this.activation = activation;
  }

  static Architecture ofGguf(String name, String where) throws ModelFormatException {
    for (Architecture architecture : values()) {
      if (architecture.ggufName.equals(name)) {
        return architecture;
      }
    }
    String supported =
        Arrays.stream(values()).map(a -> a.ggufName).collect(Collectors.joining(", "));
    throw unsupported(where, "general.architecture", name, supported);
  }

  static Architecture ofHuggingFace(String type, String where) throws ModelFormatException {
    for (Architecture architecture : values()) {
      if (architecture.huggingFaceTypes().contains(type)) {
        return architecture;
      }
    }
    String supported =
        Arrays.stream(values())
            .flatMap(a -> a.huggingFaceTypes().stream())
            .collect(Collectors.joining(", "));
    throw unsupported(where, "model_type", type, supported);
  }

  private static ModelFormatException unsupported(
      String where, String key, String found, String supported) {
    return new ModelFormatException(
        "%s: the architecture %s (%s) is not supported; supported: %s"
            .formatted(where, found, key, supported));
  }

  /// `model_type` of a Hugging Face configuration.
  List<String> huggingFaceTypes() {
    return switch (this) {
      case LLAMA -> List.of("llama", "mistral");
      case QWEN2 -> List.of("qwen2");
      case QWEN3 -> List.of("qwen3");
      case GEMMA3 -> List.of("gemma3_text", "gemma3");
    };
  }

  /// Whether a model of the family must have the weight.
  boolean requires(WeightRole role) {
    return switch (role) {
      case OUTPUT -> false;
      case QUERY_BIAS, KEY_BIAS, VALUE_BIAS -> this == QWEN2;
      case QUERY_NORM, KEY_NORM -> this == QWEN3 || this == GEMMA3;
      case POST_ATTENTION_NORM, POST_FEED_FORWARD_NORM -> this == GEMMA3;
      default -> true;
    };
  }

  /// Whether it may have it.
  boolean allows(WeightRole role) {
    return switch (role) {
      case OUTPUT -> true;
      case QUERY_BIAS, KEY_BIAS, VALUE_BIAS -> this != GEMMA3;
      default -> requires(role);
    };
  }

  /// Gemma stores the weights of its norms less one; GGUF files have the one added already.
  boolean normsAreOffset() {
    return this == GEMMA3;
  }
}
