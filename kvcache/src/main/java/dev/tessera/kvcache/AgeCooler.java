package dev.tessera.kvcache;

import java.util.Collection;
import java.util.List;

/// Blocks cool with age alone: to reserve block b is also to reserve, for every form, the one block
/// that queries in b are the first to read in it.
final class AgeCooler implements Cooler {
  private final CoolingRule rule;
  private final PrefixTree tree;
  private final Holds holds;
  private final PendingCoolings coolings;

  AgeCooler(CoolingRule rule, PrefixTree tree, Holds holds, PendingCoolings coolings) {
    this.rule = rule;
    this.tree = tree;
    this.holds = holds;
    this.coolings = coolings;
  }

  @Override
  public boolean mayAppend(Collection<SequenceCache> live, int wanted) {
    return true;
  }

  @Override
  public boolean append(BlockTable table, int queryBlock, List<Holds.Hold> held) {
    for (int form = 1; form <= table.cooledForms(); form++) {
      int index = rule.newest(form, queryBlock);
      if (index < rule.firstBlocks() || table.shows(index, form)) {
        continue;
      }
      Block block = table.present(index);
      if (!block.has(form) && !coolings.reserve(block, form)) {
        return false;
      }
      held.add(holds.take(table, index, form));
    }
    return true;
  }

  @Override
  public void beforeStep(Collection<SequenceCache> live) {}

  @Override
  public void afterStep() {}

  @Override
  public void sequencesChanged() {}

  /// Lets go of the forms that only queries in blocks which are done with have read.
  @Override
  public void settle(SequenceCache sequence) {
    int reached =
        Math.min(sequence.computedTokens / TileShape.BLOCK_TOKENS, sequence.tables[0].end() - 1);
    for (; sequence.settledBlocks <= reached; sequence.settledBlocks++) {
      long now = tree.tick();
      for (BlockTable table : sequence.tables) {
        for (int form = 1; form <= table.cooledForms(); form++) {
          int index = rule.newest(form, sequence.settledBlocks);
          for (int older = 0; older < form && index >= rule.firstBlocks(); older++) {
            holds.letGo(table, index, older, now);
          }
        }
      }
    }
  }

  @Override
  public boolean makesRoom(Collection<SequenceCache> live) {
    return false;
  }

  @Override
  public long reclaimableBytes(Collection<SequenceCache> live) {
    return 0;
  }

  @Override
  public long spareBytes() {
    return 0;
  }
}
