package dev.tessera.server.eval;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.RowCapture;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kernels.codec.Turn;
import dev.tessera.server.testing.Forwarding;
import java.util.Map;
import java.util.function.DoubleConsumer;

/// A backend whose listeners hear keys with a constant added before RoPE. It computes what the
/// other one computes, of one sequence a step.
final class OffsetKeys {
  private final DecoderSession session;
  private final float[][][] offset;
  private int firstPosition;

  private OffsetKeys(DecoderSession session, float[][][] offset) {
    this.session = session;
    this.offset = offset;
  }

  /// @param backend closed by whoever opened it
  /// @param offset `[layers][kvHeads][headDim]`
  static Backend of(Backend backend, float[][][] offset) {
    return Forwarding.to(
        Backend.class,
        backend,
        Map.of(
            "load",
            given ->
                new OffsetKeys(
                        backend.load(
                            (DecoderSpec) given[0],
                            (DecoderWeights) given[1],
                            (SessionLimits) given[2],
                            (DoubleConsumer) given[3]),
                        offset)
                    .heard(),
            "close",
            given -> null));
  }

  private DecoderSession heard() {
    return Forwarding.to(
        DecoderSession.class,
        session,
        Map.of(
            "capture",
            given -> {
              var listener = (RowCapture) given[0];
              session.capture(
                  listener == null
                      ? null
                      : (layer, vectors) -> listener.layer(layer, withOffset(layer, vectors)));
              return null;
            },
            "submit",
            given -> {
              var batch = (StepBatch) given[0];
              firstPosition = batch.firstPositions()[0];
              session.submit(batch);
              return null;
            }));
  }

  private float[] withOffset(int layer, float[] vectors) {
    DecoderSpec spec = session.spec();
    int dim = spec.headDim();
    int width = (spec.heads() + 2 * spec.kvHeads()) * dim;
    float[] sum = vectors.clone();
    for (int row = 0; row < vectors.length / width; row++) {
      for (int head = 0; head < spec.kvHeads(); head++) {
        float[] turned =
            new Turn(offset[layer][head], spec.ropes().get(spec.layers().get(layer).rope()))
                .at(firstPosition + row);
        int at = row * width + (spec.heads() + head) * dim;
        for (int i = 0; i < dim; i++) {
          sum[at + i] += turned[i];
        }
      }
    }
    return sum;
  }
}
