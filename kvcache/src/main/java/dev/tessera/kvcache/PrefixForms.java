package dev.tessera.kvcache;

import java.util.function.IntPredicate;

/// Which forms of the blocks of a cached prefix a sequence can go on from, in groups that cool.
interface PrefixForms {

  /// The form to hold of a block for queries in block `queryBlock` and behind. -1 if none that is
  /// there serves.
  ///
  /// @param ready forms that are there, a bit each
  /// @param index of the block
  int toHold(int ready, int index, int queryBlock);

  /// The oldest block that has to be kept in a form which may else go, so that a sequence can go on
  /// behind a border.
  ///
  /// @param border after that many blocks
  int oldestKept(int border);

  /// Which borders serve, after how many blocks.
  ///
  /// @param ready `[blocks]` forms that are there, a bit each
  IntPredicate serving(int[] ready, int blocks);

  static boolean isReady(int ready, int form) {
    return (ready >>> form & 1) != 0;
  }
}
