package dev.tessera.kernels.vector;

import dev.tessera.kernels.ActivationFormat;
import dev.tessera.kernels.Backend;
import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.BackendProvider;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.Primitives;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.WeightShapes;
import dev.tessera.kernels.codec.CodedProducts;
import dev.tessera.kvcache.ElementType;
import dev.tessera.kvcache.SlabLayout;
import java.util.function.DoubleConsumer;

/// The fallback in Java's Vector API, for machines where no native library could be built: weights
/// stay quantised, with a lane per output; activations, sums and tiles are single precision.
public final class VectorBackend implements Backend {

  /// The name by which it is asked for.
  public static final String NAME = "vector";

  private final Parallel parallel;

  private VectorBackend(int threads) {
    parallel = new Parallel(threads);
  }

  /// Opens the backend where Java was started with the Vector API.
  public static final class Provider implements BackendProvider {

    @Override
    public String name() {
      return NAME;
    }

    @Override
    public Availability open(BackendOptions options) {
      if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) {
        return new Availability.Unavailable(
            "Java was started without --add-modules jdk.incubator.vector; the launcher adds it"
                + " where the vector backend is asked for by name or the native library is absent");
      }
      return new Availability.Ready(new VectorBackend(options.threads()));
    }
  }

  @Override
  public String name() {
    return "%s (%d-bit, f32 tiles, %d %s)"
        .formatted(
            NAME,
            Lanes.SPECIES.vectorBitSize(),
            parallel.threads(),
            parallel.threads() == 1 ? "thread" : "threads");
  }

  @Override
  public ElementType exactElement() {
    return ElementType.F32;
  }

  @Override
  public CodedProducts codedProducts() {
    return CodedProducts.SINGLE;
  }

  @Override
  public ActivationFormat activationFormat() {
    return ActivationFormat.SINGLE;
  }

  @Override
  public SlabLayout[] exactSlabs(DecoderSpec spec) {
    return spec.kv().groups().stream()
        .map(group -> TilePool.layout(group, spec.kv()))
        .toArray(SlabLayout[]::new);
  }

  @Override
  public DecoderSession load(
      DecoderSpec spec, DecoderWeights weights, SessionLimits limits, DoubleConsumer progress) {
    WeightShapes.require(spec, weights);
    return new VectorSession(
        spec, VectorWeights.pack(spec, weights, parallel, progress), limits, parallel);
  }

  @Override
  public Primitives primitives() {
    return new VectorPrimitives(parallel);
  }

  @Override
  public void close() {
    parallel.close();
  }
}
