package dev.tessera.kvcache;

import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// The invariants of the cache: every slab is free or owned by exactly one block, every block by
/// the tree or by a sequence, and all counts add up.
final class IntegrityCheck {
  private final KvGeometry geometry;
  private final CoolingRule rule;
  private final boolean byTemperature;
  private final MemoryBudget budget;
  private final BlockPool pool;
  private final PrefixTree tree;
  private final IdentityHashMap<Block, int[]> references = new IdentityHashMap<>(); // [forms]
  private final IdentityHashMap<Block, int[]> tails = new IdentityHashMap<>(); // [forms]
  private final Map<PrefixNode, Integer> tips = new HashMap<>();
  private final Map<PrefixNode, Integer> children = new HashMap<>();

  IntegrityCheck(
      KvGeometry geometry,
      CoolingRule rule,
      boolean byTemperature,
      MemoryBudget budget,
      BlockPool pool,
      PrefixTree tree) {
    this.geometry = geometry;
    this.rule = rule;
    this.byTemperature = byTemperature;
    this.budget = budget;
    this.pool = pool;
    this.tree = tree;
  }

  void run(Collection<SequenceCache> live) {
    live.forEach(this::countSequence);
    tree.nodes().forEach(this::countNode);
    tree.nodes().forEach(this::checkNode);
    checkBlocks();
  }

  private void countSequence(SequenceCache sequence) {
    int end = sequence.tables[0].end();
    Set<Block> seen = new HashSet<>();
    for (LayerGroup group : geometry.groups()) {
      BlockTable table = sequence.tables[group.id()];
      require(table.end() == end, "tables of different length", sequence);
      int[][] refs = new int[1 + table.cooledForms()][table.entries()];
      for (int form = 0; form < refs.length; form++) {
        table.copyRefs(form, refs[form], 0);
      }
      int entry = 0;
      for (int i = 0; i < end; i++) {
        Block block = table.block(i);
        boolean due = i >= table.firstBlock() || i < table.sinkBlocks();
        require((block != null) == due, "block " + i + " is there against the window", group);
        if (block != null) {
          require(block.index() == i && block.group() == group.id(), "misplaced", block);
          require(seen.add(block), "twice in a sequence", block);
          for (int form = 0; form < refs.length; form++) {
            int ref = refs[form][entry];
            require(
                ref == (table.shows(i, form) ? block.ref(form) : BlockRef.NONE), "stale", block);
            references.computeIfAbsent(block, b -> new int[b.forms()])[form] +=
                ref == BlockRef.NONE ? 0 : 1;
          }
          entry++;
          checkForms(sequence, table, block);
          boolean published = i < sequence.publishedBlocks;
          require(published || block.node == null, "shared before it was published", block);
          require(
              !published || block.node != null && block.node.blocks[group.id()] == block,
              "published and not the tree's",
              block);
        }
      }
    }
    if (sequence.tip != null) {
      require(sequence.publishedBlocks == sequence.tip.index + 1, "tip elsewhere", sequence.tip);
      tips.merge(sequence.tip, 1, Integer::sum);
    }
    require(sequence.computedTokens <= sequence.reservedTokens(), "beyond its blocks", sequence);
  }

  /// A sequence holds of a block what its next query reads, or what that is made from, and of the
  /// blocks that it has slabs for what their queries read.
  private void checkForms(SequenceCache sequence, BlockTable table, Block block) {
    if (table.cooledForms() == 0) {
      require(table.shows(block.index(), BlockRef.EXACT), "not held", block);
      return;
    }
    int next = sequence.computedTokens / TileShape.BLOCK_TOKENS;
    int end = table.end();
    if (byTemperature) {
      int form = table.readForm(block.index());
      require(table.shows(block.index(), form) && block.isReady(form), "not held", block);
      require(form <= rule.form(next, block.index()), "too young for form " + form, block);
      return;
    }
    if (next < end) {
      for (int query = Math.max(next, block.index()); query < end; query++) {
        int form = rule.form(query, block.index());
        require(table.shows(block.index(), form), "query block " + query + " misses it", block);
      }
      int done = Math.max(block.index(), sequence.settledBlocks - 1);
      boolean coolsNow = rule.form(next, block.index()) != rule.form(done, block.index());
      for (int form = 0; form < rule.form(done, block.index()); form++) {
        boolean isOrigin = coolsNow && form == BlockRef.EXACT;
        require(
            !table.shows(block.index(), form) || isOrigin,
            "form " + form + " is held for nothing",
            block);
      }
    } else {
      int form = rule.form(next, block.index());
      int before = rule.form(Math.max(block.index(), next - 1), block.index());
      require(
          table.shows(block.index(), form)
              || table.shows(block.index(), before)
              || form != before && table.shows(block.index(), BlockRef.EXACT),
          "the next query misses it",
          block);
    }
  }

  private void countNode(PrefixNode node) {
    PrefixNode parent = node.parent;
    if (parent != null) {
      children.merge(parent, 1, Integer::sum);
      require(node.index == parent.index + 1, "depth", node);
    } else {
      require(node.index == 0, "depth", node);
    }
    for (Block block : node.blocks) {
      if (block != null) {
        require(block.node == node && block.index() == node.index, "misplaced", block);
        references.computeIfAbsent(block, b -> new int[b.forms()]);
      }
    }
    for (PrefixNode.Held held : node.tail) {
      Block block = held.block();
      require(block.node != null && block.isReady(held.form()), "a tail holds it in vain", block);
      tails.computeIfAbsent(block, b -> new int[b.forms()])[held.form()]++;
    }
  }

  private void checkNode(PrefixNode node) {
    require(node.tips == tips.getOrDefault(node, 0), "tips", node);
    require(node.children == children.getOrDefault(node, 0), "children", node);
    require(!node.isLoose() || !node.isEmpty(), "holds nothing", node);
    if (node.parent != null) {
      PrefixNode parent = node.parent;
      require(tree.find(parent.hash, parent.tokens(), 0) == parent, "orphan", node);
      require(node.hash.equals(parent.hash.child(node.tokens(), 0)), "hash", node);
    }
  }

  private void checkBlocks() {
    BitSet[][] owned = new BitSet[pool.groups()][];
    long usedBytes = 0;
    long referencedBytes = 0;
    int referenced = 0;
    int idle = 0;
    int candidates = 0;
    long idleSlabs = 0;
    long tailBytes = 0;
    long copyBytes = 0;
    for (Map.Entry<Block, int[]> entry : references.entrySet()) {
      Block block = entry.getKey();
      if (owned[block.group()] == null) {
        owned[block.group()] = new BitSet[block.forms()];
      }
      int[] held = tails.getOrDefault(block, new int[block.forms()]);
      require(block.node != null || block.isReferenced(), "nobody's", block);
      for (int form = 0; form < block.forms(); form++) {
        int count = entry.getValue()[form];
        require(block.references(form) == count, count + " references are held", block);
        require(block.tails(form) == held[form], held[form] + " tails hold it", block);
        require(block.has(form) || count == 0 && !block.isPending(form), "no slab", block);
        require(!block.isPending(form) || count > 0, "reserved for nobody", block);
        require(block.node != null || count > 0 == block.has(form), "kept for nobody", block);
        boolean copy = IdleBlocks.isCopy(block, form);
        require(tree.idle().isCandidate(block, form) == copy, "order of copies", block);
        candidates += copy ? 1 : 0;
        copyBytes += copy ? pool.pool(block.group(), form).slabBytes() : 0;
        if (block.has(form)) {
          SlabPool slabs = pool.pool(block.group(), form);
          BitSet taken = ensure(owned[block.group()], form);
          require(slabs.isUsed(block.slab(form)), "in a free slab", block);
          require(!taken.get(block.slab(form)), "in another block's slab", block);
          taken.set(block.slab(form));
          usedBytes += slabs.slabBytes();
          referencedBytes += count > 0 ? slabs.slabBytes() : 0;
          idleSlabs += count > 0 ? 0 : 1;
          boolean kept = count == 0 && held[form] > 0 && block.hasCooler(form);
          tailBytes += kept ? slabs.slabBytes() : 0;
        }
      }
      referenced += block.isReferenced() ? 1 : 0;
      idle += block.isReferenced() ? 0 : 1;
      boolean evictable = tree.idle().isEvictable(block);
      candidates += evictable ? 1 : 0;
      require(tree.idle().isCandidate(block) == evictable, "eviction order", block);
    }
    require(
        candidates == tree.idle().candidates(), candidates + " may go", tree.idle().candidates());
    require(idleSlabs == tree.idle().slabs(), idleSlabs + " idle slabs", tree.idle().slabs());
    require(
        tailBytes == tree.idle().tailBytes(), tailBytes + " for tails", tree.idle().tailBytes());
    require(
        copyBytes == tree.idle().copyBytes(),
        copyBytes + " in copies that nobody reads",
        tree.idle().copyBytes());
    require(referenced == pool.referencedBlocks(), referenced + " referenced blocks", pool);
    require(idle == tree.idle().blocks(), idle + " idle blocks", tree.idle().blocks());
    require(referencedBytes == pool.referencedBytes(), referencedBytes + " bytes", pool);
    require(usedBytes == budget.usedBytes(), usedBytes + " bytes used", budget.usedBytes());
    checkPools(owned);
  }

  private void checkPools(BitSet[][] owned) {
    long resident = 0;
    for (int g = 0; g < pool.groups(); g++) {
      for (int form = 0; form < pool.forms(g); form++) {
        SlabPool slabs = pool.pool(g, form);
        int count = owned[g] == null ? 0 : ensure(owned[g], form).cardinality();
        require(slabs.usedSlabs() == count, count + " slabs are owned", slabs.usedSlabs());
        resident += (slabs.usedSlabs() + slabs.spareSlabs()) * slabs.slabBytes();
      }
    }
    require(resident == budget.residentBytes(), resident + " resident", budget.residentBytes());
    require(resident <= budget.limitBytes(), "resident beyond the budget", resident);
  }

  private static BitSet ensure(@Nullable BitSet[] sets, int form) {
    BitSet set = sets[form];
    if (set == null) {
      set = new BitSet();
      sets[form] = set;
    }
    return set;
  }

  private static void require(boolean condition, String what, Object thing) {
    if (!condition) {
      throw new IllegalStateException("integrity: " + what + ": " + thing);
    }
  }
}
