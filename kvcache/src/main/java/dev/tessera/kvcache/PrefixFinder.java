package dev.tessera.kvcache;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Finds the longest cached prefix that a sequence can go on from.
///
/// A border after n blocks serves if the first query behind it finds everything that it reads, in
/// the form in which it reads it: in window groups the blocks in the window and the sinks; in
/// groups that cool the exact blocks before the border, and each older one in the form of its age.
/// The newest block of a form may lack it, where what it is made from is there: that is where the
/// sequence which left the prefix behind had got to.
final class PrefixFinder {
  private static final int BLOCK = TileShape.BLOCK_TOKENS;

  private final KvGeometry geometry;
  private final BlockForms forms;
  private final PrefixTree tree;

  PrefixFinder(KvGeometry geometry, BlockForms forms, PrefixTree tree) {
    this.geometry = geometry;
    this.forms = forms;
    this.tree = tree;
  }

  /// @param limit blocks to find at most
  List<PrefixNode> find(HashChain chain, int[] tokens, int limit) {
    chain.extend(tokens, limit * BLOCK);
    List<PrefixNode> path = new ArrayList<>();
    while (path.size() < limit) {
      PrefixNode node = tree.find(chain.get(path.size()), tokens, path.size() * BLOCK);
      if (node == null || !holdsFullGroups(node)) {
        break;
      }
      path.add(node);
    }
    List<Runs> runs = new ArrayList<>();
    for (LayerGroup group : geometry.groups()) {
      if (forms.cools(group.id())) {
        runs.add(new Runs(path, group.id(), forms.rule()));
      }
    }
    int length = path.size();
    while (length > 0 && !serves(path, runs, length)) {
      length--;
    }
    return List.copyOf(path.subList(0, length));
  }

  private boolean holdsFullGroups(PrefixNode node) {
    for (LayerGroup group : geometry.groups()) {
      if (group.isFull() && node.blocks[group.id()] == null) {
        return false;
      }
    }
    return true;
  }

  private boolean serves(List<PrefixNode> path, List<Runs> runs, int length) {
    for (Runs group : runs) {
      if (!group.serve(length)) {
        return false;
      }
    }
    for (LayerGroup group : geometry.groups()) {
      int first = Windows.firstVisible(group, length * BLOCK);
      if (!group.isFull()
          && !(holds(path, group, 0, Math.min(Windows.sinkBlocks(group), length))
              && holds(path, group, first, length))) {
        return false;
      }
    }
    return true;
  }

  private static boolean holds(List<PrefixNode> path, LayerGroup group, int from, int to) {
    for (int i = to - 1; i >= from; i--) {
      if (path.get(i).blocks[group.id()] == null) {
        return false;
      }
    }
    return true;
  }

  /// The form to hold of a block for queries in block `queryBlock` and behind: the one that they
  /// read, or where that one is not there, the one that it is made from. -1 if neither is there.
  static int formToHold(CoolingRule rule, Block block, int queryBlock) {
    int form = rule.form(queryBlock, block.index());
    if (block.isReady(form)) {
      return form;
    }
    int before = form == 0 ? 0 : rule.form(queryBlock - 1, block.index());
    if (before == form) {
      return -1;
    }
    if (block.isReady(before)) {
      return before;
    }
    return block.isReady(BlockRef.EXACT) ? BlockRef.EXACT : -1;
  }

  /// How many blocks in a row, up to each one of a path, are there in each form.
  private static final class Runs {
    private final List<PrefixNode> path;
    private final int group;
    private final CoolingRule rule;
    private final int[][] runs; // [forms][blocks]

    Runs(List<PrefixNode> path, int group, CoolingRule rule) {
      this.path = path;
      this.group = group;
      this.rule = rule;
      this.runs = new int[1 + rule.forms()][path.size()];
      for (int i = 0; i < path.size(); i++) {
        @Nullable Block block = path.get(i).blocks[group];
        for (int form = 0; form < runs.length; form++) {
          boolean there = block != null && block.isReady(form);
          runs[form][i] = there ? 1 + (i == 0 ? 0 : runs[form][i - 1]) : 0;
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
          Block newest = path.get(end - 1).blocks[group];
          if (newest == null || formToHold(rule, newest, length) < 0) {
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
