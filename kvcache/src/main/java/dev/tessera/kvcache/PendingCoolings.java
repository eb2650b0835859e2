package dev.tessera.kvcache;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/// The forms that are reserved and that the next step fills.
final class PendingCoolings {
  private final PrefixTree tree;
  private final List<Pending> pending = new ArrayList<>();
  private long taken;

  private record Pending(Block block, int form) {}

  PendingCoolings(PrefixTree tree) {
    this.tree = tree;
  }

  /// Reserves a form of a block; false where memory is used up.
  boolean reserve(Block block, int form) {
    if (!tree.addForm(block, form)) {
      return false;
    }
    pending.add(new Pending(block, form));
    return true;
  }

  /// Forgets the forms that were let go before a step filled them.
  void forgetReleased() {
    pending.removeIf(cooling -> !cooling.block.isPending(cooling.form));
  }

  void requireNone() {
    if (!pending.isEmpty()) {
      throw new IllegalStateException(pending.size() + " coolings were not taken");
    }
  }

  /// Hands them over, blocks in order and each one's forms in order; from now on they count as
  /// filled.
  List<Cooling> take() {
    List<Cooling> coolings = new ArrayList<>(pending.size());
    pending.sort(
        Comparator.<Pending>comparingInt(cooling -> cooling.block.group())
            .thenComparingInt(cooling -> cooling.block.index())
            .thenComparingLong(cooling -> cooling.block.id())
            .thenComparingInt(Pending::form));
    for (Pending cooling : pending) {
      Block block = cooling.block;
      coolings.add(
          new Cooling(
              block.group(),
              block.index(),
              block.ref(origin(block, cooling.form)),
              block.ref(cooling.form)));
    }
    pending.forEach(cooling -> tree.filled(cooling.block, cooling.form));
    taken += pending.size();
    pending.clear();
    return coolings;
  }

  /// What a form is made from: the exact one while it is there, else the nearest before.
  private static int origin(Block block, int form) {
    if (block.has(BlockRef.EXACT)) {
      return BlockRef.EXACT;
    }
    int from = form - 1;
    while (from > 0 && !block.has(from)) {
      from--;
    }
    return from;
  }

  /// How many were handed over so far.
  long taken() {
    return taken;
  }
}
