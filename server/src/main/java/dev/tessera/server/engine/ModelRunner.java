package dev.tessera.server.engine;

import dev.tessera.kernels.AttentionMass;
import dev.tessera.kernels.CodecStats;
import dev.tessera.kernels.SampleOutcome;
import dev.tessera.kernels.SampleRequest;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kvcache.SlabTransfer;
import java.util.List;

/// Computes a step.
interface ModelRunner extends AutoCloseable {

  /// Computes the rows of a batch and chooses or scores a token for each request.
  ///
  /// @return one outcome per request, in their order
  List<SampleOutcome> run(StepBatch batch, List<SampleRequest> requests);

  /// What the last step has measured of its attention; only after one that was asked to.
  AttentionMass attentionMass();

  /// What coding and reading tiles has taken so far, for every format.
  default List<CodecStats> codecStats() {
    return List.of();
  }

  /// The way to the bytes of the slabs, between two steps.
  SlabTransfer slabs();

  /// Says that a slab's content is no longer needed.
  ///
  /// @param form 0 for exact
  void discard(int group, int form, int slab);

  @Override
  void close();
}
