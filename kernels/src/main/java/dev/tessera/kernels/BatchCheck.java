package dev.tessera.kernels;

import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.TileShape;

/// The checks of a [StepBatch] against the spec and the limits of a session. Kernels compute
/// addresses from these numbers, so nothing here is left to an assertion.
final class BatchCheck {

  private final StepBatch batch;
  private final DecoderSpec spec;
  private final SessionLimits limits;

  BatchCheck(StepBatch batch, DecoderSpec spec, SessionLimits limits) {
    this.batch = batch;
    this.spec = spec;
    this.limits = limits;
  }

  void run() {
    atMost("rows", batch.rows(), limits.rows());
    atMost("sequences", batch.sequences(), limits.sequences());
    atMost("logits rows", batch.logitRows().length, limits.logitRows());
    checkTokens();
    checkSequences();
    checkLogitRows();
    int groups = spec.kv().groups().size();
    same("block tables", batch.tables().length, groups);
    for (int group = 0; group < groups; group++) {
      checkTables(spec.kv().groups().get(group), batch.tables()[group], limits.slabs()[group]);
    }
  }

  private void checkTokens() {
    for (int row = 0; row < batch.rows(); row++) {
      int token = batch.tokenIds()[row];
      if (token < 0 || token >= spec.vocabulary()) {
        throw new IllegalArgumentException(
            "row %d has token %d; the vocabulary has %d".formatted(row, token, spec.vocabulary()));
      }
    }
  }

  private void checkSequences() {
    int sequences = batch.sequences();
    same("row starts", batch.rowStarts().length, sequences + 1);
    same("first row start", batch.rowStarts()[0], 0);
    same("last row start", batch.rowStarts()[sequences], batch.rows());
    for (int sequence = 0; sequence < sequences; sequence++) {
      int rows = batch.rowStarts()[sequence + 1] - batch.rowStarts()[sequence];
      long first = batch.firstPositions()[sequence];
      if (rows < 1 || first < 0 || first + rows > spec.maxPositions()) {
        throw new IllegalArgumentException(
            "sequence %d has %d rows from position %d; the model has %d positions"
                .formatted(sequence, rows, first, spec.maxPositions()));
      }
    }
  }

  private void checkLogitRows() {
    int previous = -1;
    for (int row : batch.logitRows()) {
      if (row <= previous || row >= batch.rows()) {
        throw new IllegalArgumentException(
            "logits of row %d after row %d, in a batch of %d rows"
                .formatted(row, previous, batch.rows()));
      }
      previous = row;
    }
  }

  private void checkTables(LayerGroup group, StepBatch.BlockTables tables, int slabs) {
    int sequences = batch.sequences();
    same("starts of block tables", tables.starts().length, sequences + 1);
    same("first blocks", tables.firstBlocks().length, sequences);
    same("sink blocks", tables.sinkBlocks().length, sequences);
    if (tables.starts()[0] < 0 || tables.starts()[sequences] > tables.refs().length) {
      throw new IllegalArgumentException(
          "block tables span %d to %d of %d references"
              .formatted(tables.starts()[0], tables.starts()[sequences], tables.refs().length));
    }
    for (int sequence = 0; sequence < sequences; sequence++) {
      checkTable(group, tables, sequence, slabs);
    }
  }

  private void checkTable(LayerGroup group, StepBatch.BlockTables tables, int sequence, int slabs) {
    int first = batch.firstPositions()[sequence];
    int last = first + batch.rowStarts()[sequence + 1] - batch.rowStarts()[sequence] - 1;
    int lastBlock = last / TileShape.BLOCK_TOKENS;
    int firstBlock = tables.firstBlocks()[sequence];
    int sinkBlocks = tables.sinkBlocks()[sequence];
    int entries = tables.starts()[sequence + 1] - tables.starts()[sequence];
    // The oldest query of the step still sees the block of the first position in its window.
    int oldestSeen =
        group.isFull() ? 0 : Math.max(0, first - group.window() + 1) / TileShape.BLOCK_TOKENS;
    int sinksSeen = group.isFull() ? 0 : Math.ceilDiv(group.sinkTokens(), TileShape.BLOCK_TOKENS);
    if (sinkBlocks < 0
        || firstBlock < sinkBlocks
        || firstBlock > oldestSeen
        || sinkBlocks < Math.min(firstBlock, sinksSeen)
        || entries < (long) sinkBlocks + lastBlock - firstBlock + 1) {
      throw new IllegalArgumentException(
          "table of sequence %d in group %d has %d entries: %d sink blocks, then blocks from %d on;"
                  .formatted(sequence, group.id(), entries, sinkBlocks, firstBlock)
              + " positions %d to %d see blocks %d to %d"
                  .formatted(first, last, oldestSeen, lastBlock));
    }
    for (int entry = tables.starts()[sequence]; entry < tables.starts()[sequence + 1]; entry++) {
      int ref = tables.refs()[entry];
      if (BlockRef.form(ref) != BlockRef.EXACT || BlockRef.slab(ref) >= slabs) {
        throw new IllegalArgumentException(
            "table of sequence %d in group %d names slab %d in form %d; there are %d exact slabs"
                .formatted(sequence, group.id(), BlockRef.slab(ref), BlockRef.form(ref), slabs));
      }
    }
  }

  private static void atMost(String what, int value, int limit) {
    if (value > limit) {
      throw new IllegalArgumentException(
          "a step of %d %s exceeds the session's limit of %d".formatted(value, what, limit));
    }
  }

  private static void same(String what, int value, int expected) {
    if (value != expected) {
      throw new IllegalArgumentException(
          "batch has %s %d; expected %d".formatted(what, value, expected));
    }
  }
}
