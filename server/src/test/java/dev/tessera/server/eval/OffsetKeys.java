package dev.tessera.server.eval;

import dev.tessera.kernels.ActivationFormat;
import dev.tessera.kernels.AttentionMass;
import dev.tessera.kernels.Backend;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.Primitives;
import dev.tessera.kernels.RowCapture;
import dev.tessera.kernels.SampleOutcome;
import dev.tessera.kernels.SampleRequest;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kernels.codec.CodedProducts;
import dev.tessera.kernels.codec.Turn;
import dev.tessera.kvcache.ElementType;
import dev.tessera.kvcache.SlabLayout;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.DoubleConsumer;
import org.jspecify.annotations.Nullable;

/// A backend whose listeners hear keys with a constant added before RoPE. It computes what the
/// other one computes, of one sequence a step.
///
/// @param offset `[layers][kvHeads][headDim]`
record OffsetKeys(Backend backend, float[][][] offset) implements Backend {

  @Override
  public String name() {
    return backend.name();
  }

  @Override
  public ElementType exactElement() {
    return backend.exactElement();
  }

  @Override
  public ActivationFormat activationFormat() {
    return backend.activationFormat();
  }

  @Override
  public CodedProducts codedProducts() {
    return backend.codedProducts();
  }

  @Override
  public SlabLayout[] exactSlabs(DecoderSpec spec) {
    return backend.exactSlabs(spec);
  }

  @Override
  public DecoderSession load(
      DecoderSpec spec, DecoderWeights weights, SessionLimits limits, DoubleConsumer progress) {
    return new Session(backend.load(spec, weights, limits, progress));
  }

  @Override
  public Primitives primitives() {
    return backend.primitives();
  }

  /// The other backend is closed by whoever opened it.
  @Override
  public void close() {}

  private final class Session implements DecoderSession {

    private final DecoderSession session;
    private int firstPosition;

    Session(DecoderSession session) {
      this.session = session;
    }

    @Override
    public void capture(@Nullable RowCapture listener) {
      session.capture(
          listener == null
              ? null
              : (layer, vectors) -> listener.layer(layer, withOffset(layer, vectors)));
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

    @Override
    public void submit(StepBatch batch) {
      firstPosition = batch.firstPositions()[0];
      session.submit(batch);
    }

    @Override
    public DecoderSpec spec() {
      return session.spec();
    }

    @Override
    public long weightBytes() {
      return session.weightBytes();
    }

    @Override
    public long scratchBytes() {
      return session.scratchBytes();
    }

    @Override
    public void await() {
      session.await();
    }

    @Override
    public List<SampleOutcome> sample(List<SampleRequest> requests) {
      return session.sample(requests);
    }

    @Override
    public void readLogits(int logitRow, float[] destination) {
      session.readLogits(logitRow, destination);
    }

    @Override
    public AttentionMass attentionMass() {
      return session.attentionMass();
    }

    @Override
    public void cool(CooledForms forms) {
      session.cool(forms);
    }

    @Override
    public void readSlab(int group, int form, int slab, MemorySegment bytes) {
      session.readSlab(group, form, slab, bytes);
    }

    @Override
    public void writeSlab(int group, int form, int slab, MemorySegment bytes) {
      session.writeSlab(group, form, slab, bytes);
    }

    @Override
    public void discard(int group, int form, int slab) {
      session.discard(group, form, slab);
    }

    @Override
    public void close() {
      session.close();
    }
  }
}
