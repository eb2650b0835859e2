package dev.tessera.kernels;

import dev.tessera.kvcache.SlabTransfer;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A decoder loaded on a backend, with its tile and logits memory. One thread, the engine's, calls.
public interface DecoderSession extends SlabTransfer, AutoCloseable {

  DecoderSpec spec();

  /// Bytes of the weights as the backend holds them; 0 where it reads the model's own, which must
  /// then stay open. Else the model's may be let go after loading.
  long weightBytes();

  /// Bytes of everything else but tiles: activations, logits, tables, and its own copies of what
  /// was announced by [#cool].
  long scratchBytes();

  /// Starts a step. The batch may be reused once [#await()] has returned.
  ///
  /// @throws IllegalArgumentException if the batch exceeds the session's limits or contradicts
  ///   itself
  void submit(StepBatch batch);

  /// Waits until the tiles and logits of the submitted step are complete.
  void await();

  /// Chooses or scores a token for each request, from the logits of the last step.
  List<SampleOutcome> sample(List<SampleRequest> requests);

  /// Copies one row of the last step's logits, `[vocabulary]`.
  void readLogits(int logitRow, float[] destination);

  /// What the last step has measured of its attention.
  ///
  /// @throws IllegalStateException if it was not asked to
  AttentionMass attentionMass();

  /// Lets a listener hear the rows of the following steps, within [#await()], until another or none
  /// is given.
  void capture(@Nullable RowCapture capture);

  /// Announces the forms in which blocks may exist besides the exact one. At most once, before the
  /// first step that names one.
  ///
  /// @throws IllegalArgumentException if the forms are not of this decoder
  /// @throws UnsupportedOperationException if the backend reads exact tiles only, or not these
  ///   formats
  void cool(CooledForms forms);

  /// What coding and reading tiles has taken so far, for every format of the announced forms;
  /// nothing where the backend does not count it.
  default List<CodecStats> codecStats() {
    return List.of();
  }

  /// Says that a slab's content is no longer needed, so that its memory may go back.
  ///
  /// @param form 0 for exact
  void discard(int group, int form, int slab);

  @Override
  void close();
}
