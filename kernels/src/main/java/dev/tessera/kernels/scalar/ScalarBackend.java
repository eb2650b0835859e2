package dev.tessera.kernels.scalar;

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
import dev.tessera.kvcache.ExactFormat;
import dev.tessera.kvcache.KvGeometry;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.SlabLayout;
import java.util.Locale;
import java.util.function.DoubleConsumer;

/// The oracle: the decoder as a textbook has it, over dequantised weights, with every sum in double
/// precision. Only the cache holds floats. It is never optimised; every other backend is compared
/// with it.
public final class ScalarBackend implements Backend {

  /// The name by which it is asked for.
  public static final String NAME = "scalar";

  /// Opens the oracle, which runs everywhere.
  public static final class Provider implements BackendProvider {

    public Provider() {}

    @Override
    public String name() {
      return NAME;
    }

    @Override
    public Availability open(BackendOptions options) {
      return new Availability.Ready(new ScalarBackend());
    }
  }

  private final ElementType element;
  private final ActivationFormat activations;
  private final CodedProducts products;

  public ScalarBackend() {
    this(ElementType.F32, ActivationFormat.SINGLE, CodedProducts.SINGLE);
  }

  private ScalarBackend(ElementType element, ActivationFormat activations, CodedProducts products) {
    this.element = element;
    this.activations = activations;
    this.products = products;
  }

  /// The oracle that rounds where the given backend declares that it rounds: what it stores in
  /// tiles, and what its products read, of weights and of coded tiles. Only the other's arithmetic
  /// is left to tell them apart.
  public static ScalarBackend roundingAs(Backend backend) {
    return new ScalarBackend(
        backend.exactElement(), backend.activationFormat(), backend.codedProducts());
  }

  @Override
  public String name() {
    return "%s (double precision, %s tiles, 1 thread)"
        .formatted(NAME, element.name().toLowerCase(Locale.ROOT));
  }

  @Override
  public ElementType exactElement() {
    return element;
  }

  @Override
  public ActivationFormat activationFormat() {
    return activations;
  }

  @Override
  public CodedProducts codedProducts() {
    return products;
  }

  @Override
  public SlabLayout[] exactSlabs(DecoderSpec spec) {
    return spec.kv().groups().stream()
        .map(group -> slab(element, group, spec.kv()))
        .toArray(SlabLayout[]::new);
  }

  static SlabLayout slab(ElementType element, LayerGroup group, KvGeometry kv) {
    var tile = new ExactFormat(element, ExactFormat.Arrangement.TOKEN_MAJOR, kv.tileShape());
    return new SlabLayout(group, kv.kvHeads(), tile, tile);
  }

  @Override
  public DecoderSession load(
      DecoderSpec spec, DecoderWeights weights, SessionLimits limits, DoubleConsumer progress) {
    WeightShapes.require(spec, weights);
    progress.accept(1);
    return new ScalarSession(spec, weights, limits, exactSlabs(spec), activations, products);
  }

  @Override
  public Primitives primitives() {
    return new ScalarPrimitives(element, activations, products);
  }

  @Override
  public void close() {}
}
