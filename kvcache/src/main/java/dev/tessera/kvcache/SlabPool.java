package dev.tessera.kvcache;

import java.util.BitSet;
import java.util.function.IntConsumer;

/// The slabs of one layer group in one form: ids, no bytes. The lowest free slab is taken first, of
/// those whose memory is already there before those that were never touched, so that the resident
/// part stays small and dense.
final class SlabPool {

  /// No slab.
  static final int NONE = -1;

  private final int capacity;
  private final long slabBytes;
  private final MemoryBudget budget;
  private final IntConsumer discard;
  private final BitSet used = new BitSet();
  private final BitSet spare = new BitSet(); // free, memory still resident
  private int lowestFresh; // no slab below is fresh: neither used nor spare

  SlabPool(int capacity, long slabBytes, MemoryBudget budget, IntConsumer discard) {
    if (capacity > BlockRef.MAX_SLABS) {
      throw new IllegalArgumentException(
          "a pool of %,d slabs; at most %,d".formatted(capacity, BlockRef.MAX_SLABS));
    }
    this.capacity = capacity;
    this.slabBytes = slabBytes;
    this.budget = budget;
    this.discard = discard;
  }

  long slabBytes() {
    return slabBytes;
  }

  int usedSlabs() {
    return used.cardinality();
  }

  int spareSlabs() {
    return spare.cardinality();
  }

  boolean isUsed(int slab) {
    return used.get(slab);
  }

  /// Whether the next slab would need memory that is not resident yet.
  boolean needsFreshMemory() {
    return spare.isEmpty();
  }

  /// Takes a slab, or [#NONE] if the ids or the budget are used up.
  int allocate() {
    int slab = spare.nextSetBit(0);
    boolean fresh = slab < 0;
    if (fresh) {
      slab = nextFresh();
      if (slab >= capacity) {
        return NONE;
      }
    }
    if (!budget.charge(slabBytes)) {
      return NONE;
    }
    if (fresh) {
      lowestFresh = slab + 1;
      budget.addResident(slabBytes);
    } else {
      spare.clear(slab);
    }
    used.set(slab);
    return slab;
  }

  private int nextFresh() {
    int slab = lowestFresh;
    while (used.get(slab) || spare.get(slab)) {
      slab++;
    }
    return slab;
  }

  void free(int slab) {
    if (!used.get(slab)) {
      throw new IllegalStateException("slab " + slab + " is free already");
    }
    used.clear(slab);
    spare.set(slab);
    budget.refund(slabBytes);
  }

  /// Gives the memory of the highest spare slab back; false if there is none.
  boolean discardSpare() {
    int slab = spare.length() - 1;
    if (slab < 0) {
      return false;
    }
    spare.clear(slab);
    lowestFresh = Math.min(lowestFresh, slab);
    budget.addResident(-slabBytes);
    discard.accept(slab);
    return true;
  }
}
