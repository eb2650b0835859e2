package dev.tessera.server.engine;

import dev.tessera.kernels.SampleRequest;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kvcache.BlockTable;
import java.util.ArrayList;
import java.util.List;

/// Flattens a plan into the arrays of a step.
final class BatchBuilder {
  private final int groups;

  BatchBuilder(int groups) {
    this.groups = groups;
  }

  StepBatch batch(StepPlan plan) {
    List<StepPlan.Chunk> chunks = plan.chunks();
    int[] tokenIds = new int[plan.rows()];
    int[] rowStarts = new int[chunks.size() + 1];
    int[] firstPositions = new int[chunks.size()];
    int[] logitRows = new int[plan.logitRows()];
    int logits = 0;
    for (int s = 0; s < chunks.size(); s++) {
      StepPlan.Chunk chunk = chunks.get(s);
      int row = rowStarts[s];
      System.arraycopy(chunk.sequence().tokens(), chunk.first(), tokenIds, row, chunk.tokens());
      rowStarts[s + 1] = row + chunk.tokens();
      firstPositions[s] = chunk.first();
      for (int position = chunk.firstLogit(); position < chunk.end(); position++) {
        logitRows[logits++] = row + position - chunk.first();
      }
    }
    StepBatch.BlockTables[] tables = new StepBatch.BlockTables[groups];
    for (int g = 0; g < groups; g++) {
      tables[g] = tables(chunks, g);
    }
    return new StepBatch(
        tokenIds, rowStarts, firstPositions, tables, logitRows, StepBatch.Coolings.none(groups));
  }

  private static StepBatch.BlockTables tables(List<StepPlan.Chunk> chunks, int group) {
    int[] starts = new int[chunks.size() + 1];
    int[] firstBlocks = new int[chunks.size()];
    int[] sinkBlocks = new int[chunks.size()];
    for (int s = 0; s < chunks.size(); s++) {
      BlockTable table = table(chunks.get(s), group);
      starts[s + 1] = starts[s] + table.entries();
      firstBlocks[s] = table.firstBlock();
      sinkBlocks[s] = table.sinkBlocks();
    }
    int[] refs = new int[starts[chunks.size()]];
    for (int s = 0; s < chunks.size(); s++) {
      table(chunks.get(s), group).copyRefs(refs, starts[s]);
    }
    return StepBatch.BlockTables.exact(starts, firstBlocks, sinkBlocks, refs);
  }

  private static BlockTable table(StepPlan.Chunk chunk, int group) {
    if (chunk.sequence().cache == null) {
      throw new IllegalStateException(chunk.sequence() + " is planned without blocks");
    }
    return chunk.sequence().cache.table(group);
  }

  /// What to do with the logits rows of a plan, in their order.
  List<SampleRequest> sampleRequests(StepPlan plan) {
    List<SampleRequest> requests = new ArrayList<>(plan.logitRows());
    for (StepPlan.Chunk chunk : plan.chunks()) {
      for (int position = chunk.firstLogit(); position < chunk.end(); position++) {
        requests.add(chunk.sequence().sampleRequest(position, requests.size()));
      }
    }
    return requests;
  }
}
