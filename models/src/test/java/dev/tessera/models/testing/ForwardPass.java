package dev.tessera.models.testing;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.SampleOutcome;
import dev.tessera.kernels.SampleRequest;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.TileShape;
import java.util.Arrays;
import java.util.List;

/// Runs one sequence through a backend, without an engine: block i of the sequence is slab i.
public final class ForwardPass implements AutoCloseable {
  private final DecoderSpec spec;
  private final DecoderSession session;
  private int position;

  /// @param tokens length of the sequence at most
  /// @param chunk rows of a step at most
  public ForwardPass(
      Backend backend, DecoderSpec spec, DecoderWeights weights, int tokens, int chunk) {
    this.spec = spec;
    int[] slabs = new int[spec.kv().groups().size()];
    Arrays.fill(slabs, Math.ceilDiv(tokens, TileShape.BLOCK_TOKENS));
    this.session =
        backend.load(spec, weights, new SessionLimits(chunk, chunk, 1, slabs), share -> {});
  }

  /// Hears the logits of one token after the other.
  @FunctionalInterface
  public interface Listener<E extends Exception> {
    void logits(int position, float[] logits) throws E;
  }

  /// The logits after every token, `[tokens][vocabulary]`, all in one step.
  public static float[][] logits(
      Backend backend, DecoderSpec spec, DecoderWeights weights, int[] tokens) {
    float[][] all = new float[tokens.length][];
    try (var pass = new ForwardPass(backend, spec, weights, tokens.length, tokens.length)) {
      pass.append(tokens, (position, logits) -> all[position] = logits.clone());
    }
    return all;
  }

  /// Computes further tokens in one step.
  public <E extends Exception> void append(int[] tokens, Listener<E> listener) throws E {
    session.submit(batch(tokens));
    session.await();
    float[] logits = new float[spec.vocabulary()];
    for (int i = 0; i < tokens.length; i++) {
      session.readLogits(i, logits);
      listener.logits(position + i, logits);
    }
    position += tokens.length;
  }

  /// The most likely token after the last of the last step.
  public int greedy(int rowsOfLastStep) {
    SampleOutcome outcome =
        session.sample(List.of(SampleRequest.greedy(rowsOfLastStep - 1))).getFirst();
    return ((SampleOutcome.Chosen) outcome).token();
  }

  private StepBatch batch(int[] tokens) {
    int blocks = Math.ceilDiv(position + tokens.length, TileShape.BLOCK_TOKENS);
    int[] refs = new int[blocks];
    Arrays.setAll(refs, slab -> BlockRef.of(BlockRef.EXACT, slab));
    var table = StepBatch.BlockTables.exact(new int[] {0, blocks}, new int[1], new int[1], refs);
    var tables = new StepBatch.BlockTables[spec.kv().groups().size()];
    Arrays.fill(tables, table);
    int[] rows = new int[tokens.length];
    Arrays.setAll(rows, row -> row);
    return new StepBatch(
        tokens,
        new int[] {0, tokens.length},
        new int[] {position},
        tables,
        rows,
        StepBatch.Coolings.none(tables.length));
  }

  @Override
  public void close() {
    session.close();
  }
}
