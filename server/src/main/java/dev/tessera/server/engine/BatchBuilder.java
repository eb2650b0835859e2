package dev.tessera.server.engine;

import dev.tessera.kernels.SampleRequest;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kvcache.BlockTable;
import dev.tessera.kvcache.Cooling;
import dev.tessera.kvcache.KvCache;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// Flattens a plan into the arrays of a step.
final class BatchBuilder {
  private final int groups;
  private final KvCache cache;

  BatchBuilder(int groups, KvCache cache) {
    this.groups = groups;
    this.cache = cache;
  }

  /// @param plan may be empty: then the step only cools
  /// @param coolings of the whole cache, in order
  /// @param measuresMass whether the attention that blocks get is wanted
  StepBatch batch(StepPlan plan, List<Cooling> coolings, boolean measuresMass) {
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
        tokenIds, rowStarts, firstPositions, tables, logitRows, coolings(coolings), measuresMass);
  }

  private List<StepBatch.Coolings> coolings(List<Cooling> coolings) {
    if (coolings.isEmpty()) {
      return StepBatch.Coolings.none(groups);
    }
    List<StepBatch.Coolings> lists = new ArrayList<>(groups);
    for (int g = 0; g < groups; g++) {
      int group = g;
      List<Cooling> own = coolings.stream().filter(cooling -> cooling.group() == group).toList();
      lists.add(
          new StepBatch.Coolings(
              own.stream().mapToInt(Cooling::block).toArray(),
              own.stream().mapToInt(Cooling::from).toArray(),
              own.stream().mapToInt(Cooling::to).toArray()));
    }
    return lists;
  }

  private StepBatch.BlockTables tables(List<StepPlan.Chunk> chunks, int group) {
    int[] starts = new int[chunks.size() + 1];
    int[] firstBlocks = new int[chunks.size()];
    int[] sinkBlocks = new int[chunks.size()];
    for (int s = 0; s < chunks.size(); s++) {
      BlockTable table = table(chunks.get(s), group);
      starts[s + 1] = starts[s] + table.entries();
      firstBlocks[s] = table.firstBlock();
      sinkBlocks[s] = table.sinkBlocks();
    }
    int forms = 1 + cache.cooledForms(group);
    int[][] refs = new int[forms][starts[chunks.size()]];
    int[] readForms = new int[cache.byTemperature() ? starts[chunks.size()] : 0];
    for (int s = 0; s < chunks.size(); s++) {
      for (int form = 0; form < forms; form++) {
        table(chunks.get(s), group).copyRefs(form, refs[form], starts[s]);
      }
      if (cache.byTemperature()) {
        table(chunks.get(s), group).copyReadForms(readForms, starts[s]);
      }
    }
    return new StepBatch.BlockTables(
        starts, firstBlocks, sinkBlocks, refs[0], Arrays.copyOfRange(refs, 1, forms), readForms);
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
