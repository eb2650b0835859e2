package dev.tessera.kvcache;

import java.util.List;

/// Which form of a tile a query reads: a function of their two positions alone, in blocks. So what
/// a sequence computes does not depend on load, on how its prompt was cut into steps, on
/// preemption, or on what it shares with others.
///
/// @param firstBlocks blocks at the start of a sequence that are always read exact
/// @param ageBlocks by form, from form 1: a block that lies more than this many blocks behind the
///   query's is read in that form or a later one; strictly ascending, from 1
public record CoolingRule(int firstBlocks, List<Integer> ageBlocks) {

  /// Every tile is read exact.
  public static final CoolingRule NEVER = new CoolingRule(0, List.of());

  public CoolingRule {
    ageBlocks = List.copyOf(ageBlocks);
    if (firstBlocks < 0) {
      throw new IllegalArgumentException(firstBlocks + " first blocks stay exact");
    }
    int previous = 0;
    for (int age : ageBlocks) {
      if (age <= previous) {
        throw new IllegalArgumentException(
            "ages of forms " + ageBlocks + " in blocks do not ascend from 1");
      }
      previous = age;
    }
    if (ageBlocks.size() >= BlockRef.MAX_FORMS) {
      throw new IllegalArgumentException(
          "%d forms by age; there can be %d".formatted(ageBlocks.size(), BlockRef.MAX_FORMS - 1));
    }
  }

  /// Forms besides the exact one.
  public int forms() {
    return ageBlocks.size();
  }

  /// The newest block that queries in block `queryBlock` read in a form, or in a cooler one; before
  /// [#firstBlocks] none is.
  ///
  /// @param form from 1 on
  int newest(int form, int queryBlock) {
    return queryBlock - 1 - ageBlocks.get(form - 1);
  }

  /// The form in which a query in block `queryBlock` reads block `block`: 0 for exact. It never
  /// falls as the query moves on.
  public int form(int queryBlock, int block) {
    if (block < firstBlocks) {
      return BlockRef.EXACT;
    }
    int form = 0;
    while (form < ageBlocks.size() && queryBlock - block > ageBlocks.get(form)) {
      form++;
    }
    return form;
  }
}
