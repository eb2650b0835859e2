package dev.tessera.kernels.cpu;

import dev.tessera.kernels.ActivationFormat;
import dev.tessera.kernels.Backend;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.Primitives;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.WeightShapes;
import dev.tessera.kernels.codec.CodedProducts;
import dev.tessera.kernels.cpu.NativeLibrary.Kernels;
import dev.tessera.kvcache.ElementType;
import dev.tessera.kvcache.ExactFormat;
import dev.tessera.kvcache.ExactFormat.Arrangement;
import dev.tessera.kvcache.KvGeometry;
import dev.tessera.kvcache.SlabLayout;
import java.util.function.DoubleConsumer;

/// The CPU backend in C: packed weights, attention over half-precision tiles, whole steps per call.
final class NativeBackend implements Backend {

  private final Kernels kernels;
  private final WorkerTeam team;

  NativeBackend(Kernels kernels, int threads) {
    this.kernels = kernels;
    this.team = new WorkerTeam(threads);
  }

  @Override
  public String name() {
    return "%s (%s, f16 tiles, %d thread%s)"
        .formatted(
            NativeBackendProvider.NAME,
            kernels.isa.label(),
            team.threads(),
            team.threads() == 1 ? "" : "s");
  }

  @Override
  public ElementType exactElement() {
    return ElementType.F16;
  }

  @Override
  public CodedProducts codedProducts() {
    return CodedProducts.GRADED;
  }

  @Override
  public ActivationFormat activationFormat() {
    return ActivationFormat.EIGHT_BIT;
  }

  @Override
  public SlabLayout[] exactSlabs(DecoderSpec spec) {
    return slabs(spec.kv());
  }

  /// Keys with a SIMD lane per position, so that scores need no sum across lanes; values token by
  /// token, so that weighted sums need none either.
  static SlabLayout[] slabs(KvGeometry kv) {
    var key = new ExactFormat(ElementType.F16, Arrangement.LANES_16, kv.tileShape());
    var value = new ExactFormat(ElementType.F16, Arrangement.TOKEN_MAJOR, kv.tileShape());
    return kv.groups().stream()
        .map(group -> new SlabLayout(group, kv.kvHeads(), key, value))
        .toArray(SlabLayout[]::new);
  }

  @Override
  public DecoderSession load(
      DecoderSpec spec, DecoderWeights weights, SessionLimits limits, DoubleConsumer progress) {
    WeightShapes.require(spec, weights);
    return new NativeSession(kernels, team, spec, weights, exactSlabs(spec), limits, progress);
  }

  @Override
  public Primitives primitives() {
    return new NativePrimitives(kernels, team);
  }

  @Override
  public void close() {
    team.close();
  }
}
