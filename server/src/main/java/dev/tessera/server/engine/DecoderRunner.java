package dev.tessera.server.engine;

import dev.tessera.kernels.AttentionMass;
import dev.tessera.kernels.CodecStats;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.SampleOutcome;
import dev.tessera.kernels.SampleRequest;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kvcache.SlabTransfer;
import java.util.List;

/// Computes steps with a decoder on a backend.
final class DecoderRunner implements ModelRunner {
  private final DecoderSession session;

  DecoderRunner(DecoderSession session) {
    this.session = session;
  }

  @Override
  public List<SampleOutcome> run(StepBatch batch, List<SampleRequest> requests) {
    session.submit(batch);
    session.await();
    return requests.isEmpty() ? List.of() : session.sample(requests);
  }

  @Override
  public AttentionMass attentionMass() {
    return session.attentionMass();
  }

  @Override
  public List<CodecStats> codecStats() {
    return session.codecStats();
  }

  @Override
  public SlabTransfer slabs() {
    return session;
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
