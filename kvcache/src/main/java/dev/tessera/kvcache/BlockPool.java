package dev.tessera.kvcache;

import org.jspecify.annotations.Nullable;

/// Makes blocks out of slabs, and counts who references them.
///
/// Knows nothing of sequences and prefixes: a block that nobody references any more is the business
/// of whoever released it.
final class BlockPool {

  private final SlabPool[][] pools; // [groups][forms]
  private final MemoryBudget budget;
  private long nextId;
  private long referencedBytes;
  private int referencedBlocks;

  /// @param slabBytes `[groups][forms]`
  BlockPool(long[][] slabBytes, MemoryBudget budget, SlabDiscard discard) {
    this.budget = budget;
    this.pools = new SlabPool[slabBytes.length][];
    for (int g = 0; g < slabBytes.length; g++) {
      pools[g] = new SlabPool[slabBytes[g].length];
      for (int f = 0; f < slabBytes[g].length; f++) {
        int group = g;
        int form = f;
        pools[g][f] =
            new SlabPool(
                capacity(slabBytes[g][f], budget.limitBytes()),
                slabBytes[g][f],
                budget,
                slab -> discard.discard(group, form, slab));
      }
    }
  }

  /// Slabs of a size that the whole budget could hold: as many ids a pool needs.
  static int capacity(long slabBytes, long budgetBytes) {
    return (int) Math.min(budgetBytes / slabBytes, BlockRef.MAX_SLABS);
  }

  MemoryBudget budget() {
    return budget;
  }

  int groups() {
    return pools.length;
  }

  /// Bytes of the slabs of a form.
  long slabBytes(int group, int form) {
    return pools[group][form].slabBytes();
  }

  int forms(int group) {
    return pools[group].length;
  }

  SlabPool pool(int group, int form) {
    return pools[group][form];
  }

  /// Bytes of all forms that block tables reference.
  long referencedBytes() {
    return referencedBytes;
  }

  /// Blocks that block tables reference.
  int referencedBlocks() {
    return referencedBlocks;
  }

  /// Bytes of all forms of a block.
  long bytes(Block block) {
    long bytes = 0;
    for (int form = 0; form < block.forms(); form++) {
      if (block.has(form)) {
        bytes += pools[block.group()][form].slabBytes();
      }
    }
    return bytes;
  }

  /// A new block in one form without references, or null if the budget is used up.
  @Nullable Block allocate(int group, int index, int form) {
    Block block = new Block(nextId, group, index, pools[group].length);
    if (!addForm(block, form)) {
      return null;
    }
    nextId++;
    return block;
  }

  /// Gives a block one more form; false if the budget is used up.
  boolean addForm(Block block, int form) {
    if (block.has(form)) {
      throw new IllegalStateException(block + " exists in form " + form + " already");
    }
    SlabPool pool = pools[block.group()][form];
    if (pool.needsFreshMemory() && pool.slabBytes() <= budget.limitBytes() - budget.usedBytes()) {
      makeResident(pool.slabBytes());
    }
    int slab = pool.allocate();
    if (slab == SlabPool.NONE) {
      return false;
    }
    block.setSlab(form, slab);
    return true;
  }

  /// Gives spare memory of other pools back until `bytes` more may become resident.
  private void makeResident(long bytes) {
    for (SlabPool[] forms : pools) {
      for (SlabPool pool : forms) {
        while (budget.residentBytes() + bytes > budget.limitBytes() && pool.discardSpare()) {}
      }
    }
  }

  /// Takes a form from a block; nobody may reference it.
  void dropForm(Block block, int form) {
    if (block.references(form) > 0) {
      throw new IllegalStateException("form " + form + " of " + block + " is in use");
    }
    pools[block.group()][form].free(block.slab(form));
    block.setSlab(form, SlabPool.NONE);
    block.setPending(form, false);
  }

  /// Takes a form from a block that nobody references and gives it to another block of the same
  /// content, or frees it where that one has the form already.
  void merge(Block from, Block to, int form) {
    if (to.has(form)) {
      dropForm(from, form);
    } else {
      to.setSlab(form, from.slab(form));
      from.setSlab(form, SlabPool.NONE);
    }
  }

  /// Frees every form of a block.
  void free(Block block) {
    for (int form = 0; form < block.forms(); form++) {
      if (block.has(form)) {
        dropForm(block, form);
      }
    }
  }

  /// References a form of a block from a block table.
  void retain(Block block, int form) {
    block.slab(form);
    if (!block.isReferenced()) {
      referencedBlocks++;
    }
    if (block.references(form) == 0) {
      referencedBytes += pools[block.group()][form].slabBytes();
    }
    block.addReference(form, 1);
  }

  /// Takes a reference back. Returns whether it was the block's last one.
  boolean release(Block block, int form) {
    block.addReference(form, -1);
    if (block.references(form) == 0) {
      referencedBytes -= pools[block.group()][form].slabBytes();
    }
    boolean last = !block.isReferenced();
    if (last) {
      referencedBlocks--;
    }
    return last;
  }

  /// Gives the memory of all free slabs back to the machine.
  void trim() {
    for (SlabPool[] forms : pools) {
      for (SlabPool pool : forms) {
        while (pool.discardSpare()) {}
      }
    }
  }
}
