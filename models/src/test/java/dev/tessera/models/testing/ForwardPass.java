package dev.tessera.models.testing;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.TileShape;
import java.util.Arrays;

/// Runs one sequence through a backend, all tokens in a single step, and keeps nothing.
public final class ForwardPass {

  private ForwardPass() {}

  /// The logits after every token, `[tokens][vocabulary]`.
  public static float[][] logits(
      Backend backend, DecoderSpec spec, DecoderWeights weights, int[] tokens) {
    int blocks = Math.ceilDiv(tokens.length, TileShape.BLOCK_TOKENS);
    int groups = spec.kv().groups().size();
    int[] slabs = new int[groups];
    Arrays.fill(slabs, blocks);
    var limits = new SessionLimits(tokens.length, tokens.length, 1, slabs);
    int[] refs = new int[blocks];
    for (int i = 0; i < blocks; i++) {
      refs[i] = BlockRef.of(BlockRef.EXACT, i);
    }
    var table = new StepBatch.BlockTables(new int[] {0, blocks}, new int[1], new int[1], refs);
    var tables = new StepBatch.BlockTables[groups];
    Arrays.fill(tables, table);
    int[] rows = new int[tokens.length];
    Arrays.setAll(rows, i -> i);
    var batch = new StepBatch(tokens, new int[] {0, tokens.length}, new int[] {0}, tables, rows);
    try (DecoderSession session = backend.load(spec, weights, limits, share -> {})) {
      session.submit(batch);
      session.await();
      float[][] logits = new float[tokens.length][spec.vocabulary()];
      for (int i = 0; i < tokens.length; i++) {
        session.readLogits(i, logits[i]);
      }
      return logits;
    }
  }
}
