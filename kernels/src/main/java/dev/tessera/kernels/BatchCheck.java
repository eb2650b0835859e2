package dev.tessera.kernels;

import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.TileShape;
import java.util.List;

/// The checks of a [StepBatch] against the spec, limits and forms of a session. Kernels compute
/// addresses from these numbers, so nothing here is left to an assertion.
final class BatchCheck {

  private final StepBatch batch;
  private final DecoderSpec spec;
  private final SessionLimits limits;
  private final CooledForms forms;

  BatchCheck(StepBatch batch, DecoderSpec spec, SessionLimits limits, CooledForms forms) {
    this.batch = batch;
    this.spec = spec;
    this.limits = limits;
    this.forms = forms;
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
    same("groups of coolings", batch.coolings().size(), groups);
    for (int group = 0; group < groups; group++) {
      checkTables(spec.kv().groups().get(group), batch.tables()[group]);
      checkCoolings(group, batch.coolings().get(group));
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

  private void checkTables(LayerGroup group, StepBatch.BlockTables tables) {
    int sequences = batch.sequences();
    same("starts of block tables", tables.starts().length, sequences + 1);
    same("first blocks", tables.firstBlocks().length, sequences);
    same("sink blocks", tables.sinkBlocks().length, sequences);
    same("cooled forms in block tables", tables.cooled().length, forms.of(group.id()).size());
    for (int[] refs : tables.cooled()) {
      same("references of a cooled form", refs.length, tables.refs().length);
    }
    if (tables.readForms().length > 0) {
      same("forms to read", tables.readForms().length, tables.refs().length);
    }
    if (tables.starts()[0] < 0 || tables.starts()[sequences] > tables.refs().length) {
      throw new IllegalArgumentException(
          "block tables span %d to %d of %d references"
              .formatted(tables.starts()[0], tables.starts()[sequences], tables.refs().length));
    }
    for (int sequence = 0; sequence < sequences; sequence++) {
      checkTable(group, tables, sequence);
    }
  }

  private void checkTable(LayerGroup group, StepBatch.BlockTables tables, int sequence) {
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
    for (int entry = 0; entry < entries; entry++) {
      int block = entry < sinkBlocks ? entry : firstBlock + entry - sinkBlocks;
      checkEntry(group, tables, sequence, tables.starts()[sequence] + entry, block);
    }
  }

  /// Every form that a query of the step reads exists, and every reference names a slab.
  private void checkEntry(
      LayerGroup group, StepBatch.BlockTables tables, int sequence, int entry, int block) {
    int first = batch.firstPositions()[sequence];
    int last = first + batch.rowStarts()[sequence + 1] - batch.rowStarts()[sequence] - 1;
    int lastBlock = last / TileShape.BLOCK_TOKENS;
    int firstQuery = Math.max(block, first / TileShape.BLOCK_TOKENS);
    // A rule's form never falls and passes over none: the queries between read all between.
    int firstRead = tables.form(forms, group.id(), sequence, firstQuery, block);
    int lastRead =
        block > lastBlock ? -1 : tables.form(forms, group.id(), sequence, lastBlock, block);
    if (tables.readForms().length > 0) {
      checkReadForm(group, tables, sequence, block, firstRead);
    }
    for (int form = 0; form <= tables.cooled().length; form++) {
      int ref = form == BlockRef.EXACT ? tables.refs()[entry] : tables.cooled()[form - 1][entry];
      if (ref != BlockRef.NONE) {
        checkSlab(group.id(), ref, form, "table of sequence " + sequence);
      } else if (form >= firstRead && form <= lastRead) {
        throw new IllegalArgumentException(
            "table of sequence %d in group %d lacks block %d in form %d;"
                    .formatted(sequence, group.id(), block, form)
                + " positions %d to %d read it".formatted(first, last));
      }
    }
  }

  /// What the step writes is exact, and so are groups that never cool.
  private void checkReadForm(
      LayerGroup group, StepBatch.BlockTables tables, int sequence, int block, int form) {
    boolean isWritten = block >= batch.firstPositions()[sequence] / TileShape.BLOCK_TOKENS;
    int most = isWritten ? BlockRef.EXACT : tables.cooled().length;
    if (form < BlockRef.EXACT || form > most) {
      throw new IllegalArgumentException(
          "sequence %d reads block %d in form %d in group %d; positions from %d on read it in %d at most"
              .formatted(
                  sequence, block, form, group.id(), batch.firstPositions()[sequence], most));
    }
  }

  private void checkCoolings(int group, StepBatch.Coolings coolings) {
    List<CooledForm> cooled = forms.of(group);
    for (int i = 0; i < coolings.count(); i++) {
      int block = coolings.blocks()[i];
      int from = coolings.from()[i];
      int to = coolings.to()[i];
      int form = BlockRef.form(to);
      if (block < 0 || block >= spec.maxPositions() / TileShape.BLOCK_TOKENS) {
        throw new IllegalArgumentException(
            "block %d cools in group %d; the model has %d positions"
                .formatted(block, group, spec.maxPositions()));
      }
      if (form < 1
          || form > cooled.size()
          || (BlockRef.form(from) != BlockRef.EXACT && BlockRef.form(from) != form - 1)) {
        throw new IllegalArgumentException(
            "block %d cools from form %d to form %d in group %d, which has %d cooled forms"
                .formatted(block, BlockRef.form(from), form, group, cooled.size()));
      }
      checkSlab(group, from, BlockRef.form(from), "a cooling of block " + block);
      checkSlab(group, to, form, "a cooling of block " + block);
    }
  }

  private void checkSlab(int group, int ref, int form, String who) {
    int slabs =
        form == BlockRef.EXACT ? limits.slabs()[group] : forms.of(group).get(form - 1).slabs();
    if (BlockRef.form(ref) != form || BlockRef.slab(ref) >= slabs) {
      throw new IllegalArgumentException(
          "%s in group %d names slab %d in form %d; there are %d %s slabs"
              .formatted(
                  who,
                  group,
                  BlockRef.slab(ref),
                  BlockRef.form(ref),
                  slabs,
                  form == BlockRef.EXACT ? "exact" : "form-" + form));
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
