package dev.tessera.kvcache;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/// Finds the longest cached prefix that a sequence can go on from.
///
/// A border after n blocks serves if the first query behind it finds everything that it reads, in a
/// form in which it can read it: in window groups the blocks in the window and the sinks; in groups
/// that cool what [PrefixForms] says, which always is the exact blocks before the border and, of
/// each older one, a form that it is old enough for.
final class PrefixFinder {
  private static final int BLOCK = TileShape.BLOCK_TOKENS;

  private final KvGeometry geometry;
  private final BlockForms forms;
  private final PrefixForms needed;
  private final PrefixTree tree;

  /// @param needed of the blocks of a group that cools
  PrefixFinder(KvGeometry geometry, BlockForms forms, PrefixForms needed, PrefixTree tree) {
    this.geometry = geometry;
    this.forms = forms;
    this.needed = needed;
    this.tree = tree;
  }

  /// @param limit blocks to find at most
  List<PrefixNode> find(HashChain chain, int[] tokens, int limit) {
    List<PrefixNode> path = path(chain, tokens, limit);
    int[][] ready = new int[geometry.groups().size()][path.size()];
    for (int i = 0; i < path.size(); i++) {
      for (int group = 0; group < ready.length; group++) {
        ready[group][i] = readyForms(path.get(i), group);
      }
    }
    return List.copyOf(path.subList(0, longest(ready, path.size())));
  }

  /// The nodes from the start of a prefix on, as far as they have a block in every group that sees
  /// the whole sequence.
  List<PrefixNode> path(HashChain chain, int[] tokens, int limit) {
    chain.extend(tokens, limit * BLOCK);
    List<PrefixNode> path = new ArrayList<>();
    while (path.size() < limit) {
      PrefixNode node = tree.find(chain.get(path.size()), tokens, path.size() * BLOCK);
      if (node == null || !holdsFullGroups(node)) {
        break;
      }
      path.add(node);
    }
    return path;
  }

  private boolean holdsFullGroups(PrefixNode node) {
    for (LayerGroup group : geometry.groups()) {
      if (group.isFull() && node.blocks[group.id()] == null) {
        return false;
      }
    }
    return true;
  }

  private static int readyForms(@Nullable PrefixNode node, int group) {
    Block block = node == null ? null : node.blocks[group];
    return block == null ? 0 : block.readyForms();
  }

  /// What a sequence needs to go on behind a node and may not find there later, unless it is kept;
  /// nothing where all layers see everything and stay exact, or where some of it is gone already.
  List<PrefixNode.Held> tail(PrefixNode tip) {
    int border = tip.index + 1;
    List<PrefixNode.Held> tail = new ArrayList<>();
    for (LayerGroup group : geometry.groups()) {
      boolean cools = forms.cools(group.id());
      if (group.isFull() && !cools) {
        continue;
      }
      int oldest = cools ? needed.oldestKept(border) : 0;
      for (PrefixNode node = tip; node != null && node.index >= oldest; node = node.parent) {
        if (Windows.isVisible(group, node.index, border * BLOCK)) {
          Block block = node.blocks[group.id()];
          int form =
              block == null
                  ? -1
                  : cools ? needed.toHold(block.readyForms(), node.index, border) : 0;
          if (block == null || form < 0) {
            return List.of();
          }
          tail.add(new PrefixNode.Held(block, form));
        }
      }
    }
    return tail;
  }

  /// What a tier would have to give for the longest prefix that can be gone on from with its help,
  /// in the order of the blocks; nothing if none is longer than without it.
  Gap gap(HashChain chain, int[] tokens, int limit, Tier tier) {
    int groups = geometry.groups().size();
    int alone = find(chain, tokens, limit).size();
    int[][] here = new int[groups][limit];
    int[][] either = new int[groups][limit];
    int length = 0;
    while (length < limit && look(chain.get(length), tokens, length, tier, here, either)) {
      length++;
    }
    length = longest(either, length);
    List<Recall.Missing> missing = new ArrayList<>();
    for (int i = 0; i < length && length > alone; i++) {
      for (LayerGroup group : geometry.groups()) {
        int id = group.id();
        if (Windows.isVisible(group, i, length * BLOCK)) {
          int form = forms.cools(id) ? needed.toHold(either[id][i], i, length) : BlockRef.EXACT;
          if ((here[id][i] >>> form & 1) == 0) {
            missing.add(new Recall.Missing(i, new SlabKey(chain.get(i), id, form)));
          }
        }
      }
    }
    return new Gap(alone, length, missing);
  }

  /// What is missing of a prefix.
  ///
  /// @param from blocks of it that serve without a tier
  /// @param to blocks of it that serve with the tier's help
  record Gap(int from, int to, List<Recall.Missing> slabs) {}

  /// Notes the forms of one block that are here, and those that are here or in the tier. False if
  /// it cannot be part of a prefix.
  private boolean look(
      BlockHash hash, int[] tokens, int index, Tier tier, int[][] here, int[][] either) {
    PrefixNode node = tree.find(hash, tokens, index * BLOCK);
    if (node == null && tree.contains(hash)) {
      return false;
    }
    for (LayerGroup group : geometry.groups()) {
      int id = group.id();
      int ready = readyForms(node, id);
      here[id][index] = ready;
      for (int form = 0; form < forms.count(id); form++) {
        boolean isThere = (ready >>> form & 1) != 0 || tier.holds(new SlabKey(hash, id, form));
        either[id][index] |= isThere ? 1 << form : 0;
      }
      if (group.isFull() && either[id][index] == 0) {
        return false;
      }
    }
    return true;
  }

  /// The longest border at which a sequence can go on.
  ///
  /// @param ready `[groups][blocks]` forms that are there, a bit each
  private int longest(int[][] ready, int blocks) {
    List<IntPredicate> cooling = new ArrayList<>();
    for (LayerGroup group : geometry.groups()) {
      if (forms.cools(group.id())) {
        cooling.add(needed.serving(ready[group.id()], blocks));
      }
    }
    int length = blocks;
    while (length > 0 && !serves(ready, cooling, length)) {
      length--;
    }
    return length;
  }

  private boolean serves(int[][] ready, List<IntPredicate> cooling, int length) {
    for (IntPredicate group : cooling) {
      if (!group.test(length)) {
        return false;
      }
    }
    for (LayerGroup group : geometry.groups()) {
      int first = Windows.firstVisible(group, length * BLOCK);
      int[] own = ready[group.id()];
      if (!group.isFull()
          && !(holds(own, 0, Math.min(Windows.sinkBlocks(group), length))
              && holds(own, first, length))) {
        return false;
      }
    }
    return true;
  }

  private static boolean holds(int[] ready, int from, int to) {
    for (int i = to - 1; i >= from; i--) {
      if (ready[i] == 0) {
        return false;
      }
    }
    return true;
  }
}
