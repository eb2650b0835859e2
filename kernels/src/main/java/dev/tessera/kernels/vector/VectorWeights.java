package dev.tessera.kernels.vector;

import static dev.tessera.kernels.DecoderWeights.NO_LAYER;

import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.Dequantizer;
import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.WeightRole;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.function.DoubleConsumer;
import org.jspecify.annotations.Nullable;

/// A decoder's weights, packed. The embedding is read where the model has it: a step needs a few of
/// its rows only.
record VectorWeights(
    Arena arena, Tensor embedding, List<Layer> layers, float[] outputNorm, PackedMatrix output) {

  /// The weights of one layer; a vector that the model does not have is null.
  record Layer(
      float[] attentionNorm,
      PackedMatrix query,
      PackedMatrix key,
      PackedMatrix value,
      float @Nullable [] queryBias,
      float @Nullable [] keyBias,
      float @Nullable [] valueBias,
      float @Nullable [] queryNorm,
      float @Nullable [] keyNorm,
      PackedMatrix attentionOutput,
      float @Nullable [] postAttentionNorm,
      float[] feedForwardNorm,
      PackedMatrix gate,
      PackedMatrix up,
      PackedMatrix down,
      float @Nullable [] postFeedForwardNorm) {

    long bytes() {
      long bytes = 0;
      for (PackedMatrix matrix : List.of(query, key, value, attentionOutput, gate, up, down)) {
        bytes += matrix.bytes();
      }
      return bytes;
    }
  }

  static VectorWeights pack(
      DecoderSpec spec, DecoderWeights weights, Parallel parallel, DoubleConsumer progress) {
    Arena arena = Arena.ofShared();
    int count = spec.layers().size();
    var layers = new ArrayList<Layer>();
    for (int layer = 0; layer < count; layer++) {
      layers.add(packLayer(weights, layer, arena, parallel));
      progress.accept((layer + 1.0) / (count + 1));
    }
    Tensor embedding = weights.required(WeightRole.TOKEN_EMBEDDING, NO_LAYER);
    Tensor output = weights.tensor(WeightRole.OUTPUT, NO_LAYER);
    var packed =
        new VectorWeights(
            arena,
            embedding,
            layers,
            Dequantizer.all(weights.required(WeightRole.OUTPUT_NORM, NO_LAYER)),
            PackedMatrix.pack(output == null ? embedding : output, arena, parallel));
    progress.accept(1);
    return packed;
  }

  private static Layer packLayer(
      DecoderWeights weights, int layer, Arena arena, Parallel parallel) {
    return new Layer(
        Dequantizer.all(weights.required(WeightRole.ATTENTION_NORM, layer)),
        PackedMatrix.pack(weights.required(WeightRole.QUERY, layer), arena, parallel),
        PackedMatrix.pack(weights.required(WeightRole.KEY, layer), arena, parallel),
        PackedMatrix.pack(weights.required(WeightRole.VALUE, layer), arena, parallel),
        vector(weights, WeightRole.QUERY_BIAS, layer),
        vector(weights, WeightRole.KEY_BIAS, layer),
        vector(weights, WeightRole.VALUE_BIAS, layer),
        vector(weights, WeightRole.QUERY_NORM, layer),
        vector(weights, WeightRole.KEY_NORM, layer),
        PackedMatrix.pack(weights.required(WeightRole.ATTENTION_OUTPUT, layer), arena, parallel),
        vector(weights, WeightRole.POST_ATTENTION_NORM, layer),
        Dequantizer.all(weights.required(WeightRole.FEED_FORWARD_NORM, layer)),
        PackedMatrix.pack(weights.required(WeightRole.GATE, layer), arena, parallel),
        PackedMatrix.pack(weights.required(WeightRole.UP, layer), arena, parallel),
        PackedMatrix.pack(weights.required(WeightRole.DOWN, layer), arena, parallel),
        vector(weights, WeightRole.POST_FEED_FORWARD_NORM, layer));
  }

  private static float @Nullable [] vector(DecoderWeights weights, WeightRole role, int layer) {
    Tensor tensor = weights.tensor(role, layer);
    return tensor == null ? null : Dequantizer.all(tensor);
  }

  long bytes() {
    return output.bytes() + layers.stream().mapToLong(Layer::bytes).sum();
  }
}
