package dev.tessera.kernels;

/// The shape that every weight of a decoder must have.
public final class WeightShapes {

  private WeightShapes() {}

  /// Checks every weight against the spec, before a backend packs any.
  ///
  /// @throws IllegalArgumentException naming the tensor, its shape and the expected one, or the
  ///   weight that is missing
  public static void require(DecoderSpec spec, DecoderWeights weights) {
    for (WeightRole role : WeightRole.values()) {
      if (!isLayered(role)) {
        require(spec, weights, role, DecoderWeights.NO_LAYER);
        continue;
      }
      for (int layer = 0; layer < spec.layers().size(); layer++) {
        require(spec, weights, role, layer);
      }
    }
  }

  private static void require(
      DecoderSpec spec, DecoderWeights weights, WeightRole role, int layer) {
    Tensor tensor = weights.tensor(role, layer);
    if (tensor == null && !isOptional(role)) {
      tensor = weights.required(role, layer);
    }
    if (tensor != null) {
      require(tensor, role, rows(spec, role), columns(spec, role));
    }
  }

  private static void require(Tensor tensor, WeightRole role, int rows, int columns) {
    if (tensor.rows() != rows || tensor.columns() != columns) {
      throw new IllegalArgumentException(
          "tensor %s (%s) is %d x %d; the model's shape asks for %d x %d"
              .formatted(tensor.name(), role, tensor.rows(), tensor.columns(), rows, columns));
    }
  }

  /// Whether each layer has its own.
  public static boolean isLayered(WeightRole role) {
    return switch (role) {
      case TOKEN_EMBEDDING, OUTPUT_NORM, OUTPUT -> false;
      default -> true;
    };
  }

  /// Whether a model may lack it.
  public static boolean isOptional(WeightRole role) {
    return switch (role) {
      case OUTPUT,
          QUERY_BIAS,
          KEY_BIAS,
          VALUE_BIAS,
          QUERY_NORM,
          KEY_NORM,
          POST_ATTENTION_NORM,
          POST_FEED_FORWARD_NORM ->
          true;
      default -> false;
    };
  }

  /// Outputs of a matrix; 1 for a vector.
  public static int rows(DecoderSpec spec, WeightRole role) {
    return switch (role) {
      case TOKEN_EMBEDDING, OUTPUT -> spec.vocabulary();
      case QUERY -> spec.heads() * spec.headDim();
      case KEY, VALUE -> spec.kvHeads() * spec.headDim();
      case ATTENTION_OUTPUT, DOWN -> spec.hidden();
      case GATE, UP -> spec.feedForward();
      default -> 1;
    };
  }

  /// Inputs of a matrix, or elements of a vector.
  public static int columns(DecoderSpec spec, WeightRole role) {
    return switch (role) {
      case TOKEN_EMBEDDING,
          OUTPUT,
          OUTPUT_NORM,
          ATTENTION_NORM,
          QUERY,
          KEY,
          VALUE,
          POST_ATTENTION_NORM,
          FEED_FORWARD_NORM,
          GATE,
          UP,
          POST_FEED_FORWARD_NORM ->
          spec.hidden();
      case ATTENTION_OUTPUT, QUERY_BIAS -> spec.heads() * spec.headDim();
      case KEY_BIAS, VALUE_BIAS -> spec.kvHeads() * spec.headDim();
      case QUERY_NORM, KEY_NORM -> spec.headDim();
      case DOWN -> spec.feedForward();
    };
  }
}
