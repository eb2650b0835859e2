package dev.tessera.kernels.codec;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.Backends;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.scalar.ScalarBackend;
import dev.tessera.kernels.testing.SampleCodes;
import dev.tessera.kernels.testing.SampleForms;
import dev.tessera.kernels.testing.TinyDecoder;
import dev.tessera.kvcache.CodedFormat.Role;
import dev.tessera.kvcache.CoolingRule;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/// What was learned takes memory of the cache's budget.
final class CodeMemoryTest {
  private static final int DIM = 32;
  private static final TinyDecoder DECODER = TinyDecoder.builder().heads(4, 2, DIM).build(3);
  private static final long BASIS_BYTES = 2L * DIM * DIM * Float.BYTES;

  /// Every layer and head has the same basis, or one of its own.
  private static CooledForms forms(Backend backend, int bases) {
    var keys =
        IntStream.range(0, bases)
            .mapToObj(
                i ->
                    SpectralCodes.ladder(
                        SampleCodes.spectrum(DIM, true), 4, List.of(0, 1), 1, null))
            .toList();
    var value = List.of(PlainCodes.planes(Role.VALUE, DIM, 4, 0, null));
    DecoderSpec spec = DECODER.spec();
    return SampleForms.of(
        spec.kv(),
        backend.exactSlabs(spec),
        new CoolingRule(1, List.of(1, 2)),
        keys,
        List.of(value),
        4);
  }

  @Test
  void everyBasisCountsOnceHoweverManyCodesHaveIt() {
    try (Backend backend = new ScalarBackend()) {
      int tiles = DECODER.spec().layers().size() * DECODER.spec().kvHeads();
      long shared = forms(backend, 1).codeBytes();
      assertTrue(shared >= BASIS_BYTES && shared < 2 * BASIS_BYTES, shared + " bytes");
      long own = forms(backend, tiles).codeBytes();
      assertTrue(own >= tiles * BASIS_BYTES, own + " bytes of " + tiles + " bases");
      assertEquals(0, CooledForms.NONE.codeBytes());
    }
  }

  @Test
  void theNativeBackendCountsItsCopies() {
    var choice = Backends.choose(Backends.AUTO, new BackendOptions(1, "auto"));
    try (Backend backend = choice.backend()) {
      assumeTrue(
          backend.name().startsWith(Backends.NATIVE), "no native kernels: " + choice.passedOver());
      int tiles = DECODER.spec().layers().size() * DECODER.spec().kvHeads();
      long shared = grown(backend, 1);
      long own = grown(backend, tiles);
      assertTrue(own - shared >= 2 * (tiles - 1) * BASIS_BYTES, shared + " and " + own);
    }
  }

  private static long grown(Backend backend, int bases) {
    DecoderSpec spec = DECODER.spec();
    int[] slabs = new int[spec.kv().groups().size()];
    Arrays.fill(slabs, 4);
    try (DecoderSession session =
        backend.load(spec, DECODER.weights(), new SessionLimits(64, 1, 1, slabs), share -> {})) {
      long before = session.scratchBytes();
      session.cool(forms(backend, bases));
      return session.scratchBytes() - before;
    }
  }
}
