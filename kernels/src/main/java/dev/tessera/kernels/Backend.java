package dev.tessera.kernels;

import dev.tessera.kernels.codec.CodedProducts;
import dev.tessera.kvcache.ElementType;
import dev.tessera.kvcache.SlabLayout;
import java.util.function.DoubleConsumer;

/// What a model asks of a machine.
public interface Backend extends AutoCloseable {

  /// Name and variant, for logs and metrics, for example `cpu-native (avx2, f16 tiles, 2 threads)`.
  String name();

  /// The element of its exact tiles.
  ElementType exactElement();

  /// What its products with quantised weights read of their activations.
  ActivationFormat activationFormat();

  /// What its products with coded tiles read of queries and attention weights.
  CodedProducts codedProducts();

  /// How the exact slabs of a model lie in memory, one per layer group, in the order of the groups.
  SlabLayout[] exactSlabs(DecoderSpec spec);

  /// Loads a decoder.
  ///
  /// @param progress called with the share that is done, from 0 to 1
  /// @throws IllegalArgumentException if the weights do not fit the spec, naming tensor and shape
  DecoderSession load(
      DecoderSpec spec, DecoderWeights weights, SessionLimits limits, DoubleConsumer progress);

  Primitives primitives();

  @Override
  void close();
}
