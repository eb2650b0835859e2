package dev.tessera.models;

import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.WeightRole;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// The tensors of a file by their role, with the shapes that the configuration asks for. Vectors
/// are in F32.
///
/// A tensor that has no part in the decoder as we know it is refused: it stands for a feature that
/// would silently be left out.
final class WeightTable implements DecoderWeights {
  private final EnumMap<WeightRole, @Nullable Tensor[]> tensors = new EnumMap<>(WeightRole.class);

  private WeightTable() {}

  /// Where weights come from.
  ///
  /// @param where what messages start with
  /// @param tied whether the embedding serves as the output matrix even if there is another one
  /// @param offsetNorms whether the norms' weights are stored less one
  record Source(
      String where,
      Map<String, Tensor> tensors,
      WeightNames names,
      boolean tied,
      boolean offsetNorms) {

    ModelFormatException refuse(String reason) {
      return new ModelFormatException(where + ": " + reason);
    }
  }

  static WeightTable collect(ModelConfig config, Source source) throws ModelFormatException {
    var table = new WeightTable();
    Set<String> used = new HashSet<>();
    for (WeightRole role : WeightRole.values()) {
      boolean perLayer = isPerLayer(role);
      @Nullable Tensor[] byLayer = new @Nullable Tensor[perLayer ? config.layers() : 1];
      for (int i = 0; i < byLayer.length; i++) {
        String name = source.names.name(role, i);
        @Nullable Tensor tensor = source.tensors.get(name);
        if (tensor != null && config.architecture().allows(role)) {
          used.add(name);
          if (role != WeightRole.OUTPUT || !source.tied) {
            byLayer[i] = fit(role, tensor, config, source);
          }
        } else if (config.architecture().requires(role)) {
          throw source.refuse("tensor %s is missing".formatted(name));
        }
      }
      table.tensors.put(role, byLayer);
    }
    table.requireSameVocabulary(source);
    for (String name : source.tensors.keySet()) {
      if (!used.contains(name) && !source.names.isIrrelevant(name)) {
        throw source.refuse(
            "tensor %s has no part in a %s decoder: the feature that it belongs to is not supported"
                .formatted(name, config.architecture().ggufName));
      }
    }
    return table;
  }

  private static boolean isPerLayer(WeightRole role) {
    return switch (role) {
      case TOKEN_EMBEDDING, OUTPUT_NORM, OUTPUT -> false;
      default -> true;
    };
  }

  private static Tensor fit(WeightRole role, Tensor tensor, ModelConfig config, Source source)
      throws ModelFormatException {
    int hidden = config.hidden();
    int queries = Math.multiplyExact(config.heads(), config.headDim());
    int keys = Math.multiplyExact(config.kvHeads(), config.headDim());
    return switch (role) {
      case TOKEN_EMBEDDING, OUTPUT -> matrix(tensor, tensor.rows(), hidden, source);
      case QUERY -> matrix(tensor, queries, hidden, source);
      case KEY, VALUE -> matrix(tensor, keys, hidden, source);
      case ATTENTION_OUTPUT -> matrix(tensor, hidden, queries, source);
      case GATE, UP -> matrix(tensor, config.feedForward(), hidden, source);
      case DOWN -> matrix(tensor, hidden, config.feedForward(), source);
      case QUERY_BIAS -> vector(tensor, queries, 0, source);
      case KEY_BIAS, VALUE_BIAS -> vector(tensor, keys, 0, source);
      case QUERY_NORM, KEY_NORM -> vector(tensor, config.headDim(), offset(source), source);
      case OUTPUT_NORM,
          ATTENTION_NORM,
          POST_ATTENTION_NORM,
          FEED_FORWARD_NORM,
          POST_FEED_FORWARD_NORM ->
          vector(tensor, hidden, offset(source), source);
    };
  }

  private static float offset(Source source) {
    return source.offsetNorms ? 1 : 0;
  }

  private static Tensor matrix(Tensor tensor, int rows, int columns, Source source)
      throws ModelFormatException {
    if (tensor.rows() != rows || tensor.columns() != columns) {
      throw source.refuse(
          "tensor %s has %d rows of %d; the configuration asks for %d rows of %d"
              .formatted(tensor.name(), tensor.rows(), tensor.columns(), rows, columns));
    }
    FiniteWeights.check(tensor, source.where);
    return tensor;
  }

  private static Tensor vector(Tensor tensor, int length, float offset, Source source)
      throws ModelFormatException {
    float[] elements = Vectors.read(tensor, length, source.where);
    for (int i = 0; i < length; i++) {
      elements[i] += offset;
    }
    return Vectors.tensor(tensor.name(), elements);
  }

  private void requireSameVocabulary(Source source) throws ModelFormatException {
    Tensor embedding = required(WeightRole.TOKEN_EMBEDDING, NO_LAYER);
    Tensor output = tensor(WeightRole.OUTPUT, NO_LAYER);
    if (output != null && output.rows() != embedding.rows()) {
      throw source.refuse(
          "tensor %s has %d rows and tensor %s %d; expected the same number"
              .formatted(output.name(), output.rows(), embedding.name(), embedding.rows()));
    }
  }

  @Override
  public @Nullable Tensor tensor(WeightRole role, int layer) {
    @Nullable Tensor[] byLayer = tensors.get(role);
    return byLayer == null ? null : byLayer[isPerLayer(role) ? layer : 0];
  }
}
