package dev.tessera.kvcache;

import java.util.function.IntPredicate;

/// Queries read what [CoolingRule] says: a block serves in that form, and the newest one of a form
/// also in what that form is made from, because that is where the sequence which left the prefix
/// behind had got to.
///
/// @param rule by which blocks cool
record FormsByAge(CoolingRule rule) implements PrefixForms {

  @Override
  public int toHold(int ready, int index, int queryBlock) {
    int form = rule.form(queryBlock, index);
    if (PrefixForms.isReady(ready, form)) {
      return form;
    }
    int before = form == 0 ? 0 : rule.form(queryBlock - 1, index);
    if (before == form) {
      return -1;
    }
    if (PrefixForms.isReady(ready, before)) {
      return before;
    }
    return PrefixForms.isReady(ready, BlockRef.EXACT) ? BlockRef.EXACT : -1;
  }

  @Override
  public int oldestKept(int border) {
    return Math.max(rule.firstBlocks(), rule.newest(rule.forms(), border));
  }

  @Override
  public IntPredicate serving(int[] ready, int blocks) {
    Runs runs = new Runs(ready, blocks);
    return runs::serve;
  }

  /// How many blocks in a row, up to each one of a path, are there in each form.
  private final class Runs {
    private final int[] ready; // [blocks], a bit per form
    private final int[][] runs; // [forms][blocks]

    Runs(int[] ready, int blocks) {
      this.ready = ready;
      this.runs = new int[1 + rule.forms()][blocks];
      for (int i = 0; i < blocks; i++) {
        for (int form = 0; form < runs.length; form++) {
          boolean isReady = PrefixForms.isReady(ready[i], form);
          runs[form][i] = isReady ? 1 + (i == 0 ? 0 : runs[form][i - 1]) : 0;
        }
      }
    }

    boolean serve(int length) {
      int first = Math.min(rule.firstBlocks(), length);
      if (first > 0 && runs[BlockRef.EXACT][first - 1] < first) {
        return false;
      }
      int end = length; // one past the newest block that is read in the form
      for (int form = 0; form < runs.length && end > first; form++) {
        boolean coolest = form == rule.forms();
        int from = coolest ? first : Math.max(first, length - rule.ageBlocks().get(form));
        int settled = end;
        if (form > 0) {
          if (toHold(ready[end - 1], end - 1, length) < 0) {
            return false;
          }
          settled--;
        }
        if (settled > from && runs[form][settled - 1] < settled - from) {
          return false;
        }
        end = from;
      }
      return true;
    }
  }
}
