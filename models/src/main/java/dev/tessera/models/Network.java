package dev.tessera.models;

import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.WeightRole;
import dev.tessera.models.gguf.GgufFile;
import java.util.Comparator;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/// The computing half of a model: a decoder's shape and its weights, out of either file format.
record Network(ModelConfig config, WeightTable weights) {

  /// @param where what messages start with
  static Network of(GgufFile file, String where) throws ModelFormatException {
    ModelConfig config = GgufConfig.read(file.metadata(), file.tensors(), where);
    var source =
        new WeightTable.Source(where, file.tensors(), new WeightNames.Gguf(), false, false);
    return new Network(config, WeightTable.collect(config, source));
  }

  /// @param configuration the object in `config.json`
  static Network of(Map<String, Object> configuration, Map<String, Tensor> tensors, String where)
      throws ModelFormatException {
    var reader = HuggingFaceConfig.of(configuration, where + "/config.json");
    ModelConfig config = reader.read();
    boolean offsetNorms = config.architecture().normsAreOffset();
    var names =
        WeightNames.HuggingFace.of(
            tensors.keySet(), config.architecture().requires(WeightRole.POST_ATTENTION_NORM));
    @Nullable Boolean saysTied = reader.tied();
    String output = names.name(WeightRole.OUTPUT, DecoderWeights.NO_LAYER);
    if (Boolean.FALSE.equals(saysTied) && !tensors.containsKey(output)) {
      throw new ModelFormatException(
          "%s: tie_word_embeddings is false, but tensor %s is missing".formatted(where, output));
    }
    var source =
        new WeightTable.Source(where, tensors, names, Boolean.TRUE.equals(saysTied), offsetNorms);
    var network = new Network(config, WeightTable.collect(config, source));
    int rows = network.vocabulary();
    int said = reader.vocabulary();
    if (said != 0 && said != rows) {
      throw new ModelFormatException(
          "%s: vocab_size is %,d, but the embedding has %,d rows".formatted(where, said, rows));
    }
    return network;
  }

  /// Rows of the output matrix.
  int vocabulary() {
    return weights.required(WeightRole.TOKEN_EMBEDDING, DecoderWeights.NO_LAYER).rows();
  }

  DecoderSpec spec() {
    return config.spec(vocabulary());
  }

  /// Architecture, size and weight types in a line.
  static String describe(ModelConfig config, Map<String, Tensor> tensors) {
    Map<String, Long> byType = new TreeMap<>();
    for (Tensor tensor : tensors.values()) {
      if (tensor.rows() > 1) {
        byType.merge(tensor.type().name(), elements(tensor), Long::sum);
      }
    }
    String types =
        byType.entrySet().stream()
            .sorted(Map.Entry.<String, Long>comparingByValue(Comparator.reverseOrder()))
            .map(Map.Entry::getKey)
            .collect(Collectors.joining(" + "));
    return "%s, %,d layers, %.1f M parameters, %s, context %,d"
        .formatted(
            config.architecture().ggufName,
            config.layers(),
            parameters(tensors) / 1e6,
            types,
            config.maxPositions());
  }

  static long parameters(Map<String, Tensor> tensors) {
    return tensors.values().stream().mapToLong(Network::elements).sum();
  }

  private static long elements(Tensor tensor) {
    return (long) tensor.rows() * tensor.columns();
  }
}
