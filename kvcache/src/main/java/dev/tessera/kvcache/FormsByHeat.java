package dev.tessera.kvcache;

import java.util.function.IntPredicate;

/// Where temperature decides, queries read a block in any form that it is old enough for. The
/// hottest that is there is held: it can cool for nothing when memory is wanted.
///
/// @param rule how soon blocks may cool
record FormsByHeat(CoolingRule rule) implements PrefixForms {

  @Override
  public int toHold(int ready, int index, int queryBlock) {
    int hottest = Integer.numberOfTrailingZeros(ready);
    return hottest <= rule.form(queryBlock, index) ? hottest : -1;
  }

  /// What is too young to have cooled: older blocks serve in whatever form they go to.
  @Override
  public int oldestKept(int border) {
    return Math.max(rule.firstBlocks(), rule.newest(1, border) + 1);
  }

  @Override
  public IntPredicate serving(int[] ready, int blocks) {
    int[] least = new int[blocks + 1]; // the first border that the blocks before each one allow
    for (int i = 0; i < blocks; i++) {
      least[i + 1] = Math.max(least[i], firstBorder(ready[i], i));
    }
    return length -> least[length] <= length;
  }

  /// The first border behind which queries may read a block in the hottest form that is there.
  private int firstBorder(int ready, int index) {
    int hottest = Integer.numberOfTrailingZeros(ready);
    if (hottest == BlockRef.EXACT) {
      return 0;
    }
    if (hottest > rule.forms() || index < rule.firstBlocks()) {
      return Integer.MAX_VALUE;
    }
    return index + rule.ageBlocks().get(hottest - 1) + 1;
  }
}
