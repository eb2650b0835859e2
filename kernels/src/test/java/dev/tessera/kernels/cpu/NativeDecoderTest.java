package dev.tessera.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kvcache.KvGeometry;
import dev.tessera.kvcache.LayerGroup;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

final class NativeDecoderTest {

  /// The second worker never comes: the first one waits at the barrier, spinning, then asleep.
  @Test
  @Timeout(60)
  void aBrokenStepLetsTheOtherWorkersGo() throws IOException {
    assumeTrue(NativeLibrary.exists(NativeLibrary.PRODUCT), "built without a C compiler");
    var kernels = NativeLibrary.load(NativeLibrary.PRODUCT).kernels(Isa.PORTABLE);
    var kv = new KvGeometry(List.of(new LayerGroup(0, List.of(0), 0, 0)), 1, 1, 8);
    var layer = new DecoderSpec.Layer(0, 0, -1);
    var spec =
        new DecoderSpec(
            1,
            8,
            1,
            1,
            8,
            8,
            DecoderSpec.Activation.SILU,
            0,
            1,
            1,
            0,
            0,
            List.of(),
            List.of(layer),
            kv,
            64);
    var limits = new SessionLimits(1, 1, 1, new int[] {1});
    try (var decoder = new NativeDecoder(kernels, spec, NativeBackend.slabs(kv), limits)) {
      decoder.ready(2, limits, 64);
      var tables =
          StepBatch.BlockTables.exact(
              new int[] {0, 1}, new int[] {0}, new int[] {0}, new int[] {0});
      decoder.batch(
          new StepBatch(
              new int[] {0},
              new int[] {0, 1},
              new int[] {0},
              new StepBatch.BlockTables[] {tables},
              new int[] {0},
              StepBatch.Coolings.none(1)));
      var first = CompletableFuture.supplyAsync(() -> kernels.step(decoder.address(), 0));
      decoder.breakStep();
      assertFalse(first.join());
    }
  }
}
