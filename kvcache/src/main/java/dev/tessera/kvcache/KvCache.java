package dev.tessera.kvcache;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// The one door to the cache: who owns which block. Never touches a byte of a tile.
///
/// A sequence goes through it so: [#match] its tokens, [#open] the match, then per step [#reserve]
/// blocks for the tokens to come and [#publish] what was computed, and [#release] in the end. Not
/// safe for several threads: the engine's alone uses it.
///
/// Where blocks cool, a reservation for queries in a block makes room for every form that these
/// will read and that is not there. [#takeCoolings] says what the step has to fill; when it is
/// published, a sequence lets go of the forms that its queries have done with. So a block that
/// cools inside a chunk exists in both forms until the chunk ends, and which form a query reads is
/// [CoolingRule]'s to say and nobody else's.
public final class KvCache {
  private static final int BLOCK = TileShape.BLOCK_TOKENS;

  private final KvGeometry geometry;
  private final BlockForms forms;
  private final CoolingRule rule;
  private final KvPolicy policy;
  private final byte[] fingerprint;
  private final String formats;
  private final Footprint footprint;
  private final MemoryBudget budget;
  private final BlockPool pool;
  private final PrefixTree tree;
  private final PrefixFinder finder;
  private final FormatCensus census;
  private final Set<SequenceCache> live = Collections.newSetFromMap(new IdentityHashMap<>());
  private final List<Pending> pending = new ArrayList<>();
  private long queryTokens;
  private long hitTokens;
  private long coolings;

  /// A form that is reserved and that the next step fills.
  private record Pending(Block block, int form) {}

  /// A form that a table came to show.
  private record Hold(BlockTable table, int index, int form) {}

  /// @param forms in which blocks may exist; made from `policy`
  /// @param fingerprint of the model
  /// @param discard told about free slabs whose memory may go back
  public KvCache(
      KvGeometry geometry,
      BlockForms forms,
      KvPolicy policy,
      MemoryBudget budget,
      byte[] fingerprint,
      SlabDiscard discard) {
    if (forms.exact().size() != geometry.groups().size()) {
      throw new IllegalArgumentException(
          forms.exact().size() + " slab layouts for " + geometry.groups().size() + " layer groups");
    }
    this.geometry = geometry;
    this.forms = forms;
    this.rule = forms.rule();
    this.policy = policy;
    this.fingerprint = fingerprint.clone();
    this.formats = forms.describe();
    long[][] slabBytes = forms.slabBytes();
    this.footprint = new Footprint(geometry.groups(), rule, slabBytes);
    this.budget = budget;
    this.pool = new BlockPool(slabBytes, budget, discard);
    this.tree = new PrefixTree(geometry, pool);
    this.finder = new PrefixFinder(geometry, forms, tree);
    this.census = new FormatCensus(forms);
  }

  /// Slabs of each group that the whole budget could hold: what a session needs addresses for.
  public static int[] slabCapacities(List<SlabLayout> slabs, long budgetBytes) {
    return slabs.stream()
        .mapToInt(slab -> BlockPool.capacity(slab.slabBytes(), budgetBytes))
        .toArray();
  }

  /// Slabs of a cooled form that the whole budget could hold.
  public static int slabCapacity(FormLayout form, long budgetBytes) {
    return BlockPool.capacity(form.slabBytes(), budgetBytes);
  }

  /// The root of the hashes of all requests with this salt. Safe for any thread.
  public BlockHash root(String salt) {
    return BlockHash.root(fingerprint, policy.text(), formats, forms.epoch(), salt);
  }

  /// The longest cached prefix of the first `count` tokens that every layer group can go on from.
  /// The last token is never part of it: its logits have to be computed.
  public PrefixMatch match(HashChain chain, int[] tokens, int count) {
    return new PrefixMatch(chain, finder.find(chain, tokens, (count - 1) / BLOCK));
  }

  /// Bytes that opening `match` and computing up to `tokens` tokens would take from what is
  /// available.
  public long bytesToOpen(PrefixMatch match, int tokens) {
    long bytes = footprint.growth(match.nodes().size(), tokens);
    for (LayerGroup group : geometry.groups()) {
      for (PrefixNode node : match.nodes()) {
        Block block = visible(node, group, match);
        if (block != null) {
          int form = formToHold(block, match);
          bytes += block.references(form) == 0 ? pool.pool(group.id(), form).slabBytes() : 0;
        }
      }
    }
    return bytes;
  }

  /// Bytes that a sequence will still take until `tokens` of its tokens are computed.
  public long bytesMissing(SequenceCache sequence, int tokens) {
    return footprint.growth(sequence.tables[0].end(), tokens);
  }

  /// Bytes that a sequence of `tokens` tokens needs when it is alone.
  public long bytesFor(int tokens) {
    return footprint.growth(0, tokens);
  }

  /// Tokens of the longest sequence that fits when it is alone, up to `limit`.
  public int capacityTokens(int limit) {
    int low = 0;
    int high = limit;
    while (low < high) {
      int middle = low + Math.ceilDiv(high - low, 2);
      if (bytesFor(middle) <= budget.limitBytes()) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }

  /// Bytes that no live sequence references: free ones, and ones that eviction would free.
  public long availableBytes() {
    return budget.limitBytes() - pool.referencedBytes();
  }

  /// Begins a sequence with the blocks of a match.
  public SequenceCache open(PrefixMatch match) {
    BlockTable[] tables = new BlockTable[geometry.groups().size()];
    for (LayerGroup group : geometry.groups()) {
      BlockTable table = new BlockTable(Windows.sinkBlocks(group), pool.forms(group.id()));
      tables[group.id()] = table;
      for (PrefixNode node : match.nodes()) {
        Block block = visible(node, group, match);
        if (block == null) {
          table.appendGap();
        } else {
          table.append(block);
          hold(table, node.index, formToHold(block, match));
        }
      }
      table.setFirst(Windows.firstVisible(group, match.tokens()));
    }
    SequenceCache sequence = new SequenceCache(match.chain(), tables, match.tokens());
    if (!match.nodes().isEmpty()) {
      sequence.tip = match.nodes().getLast();
      tree.pin(sequence.tip);
      tree.touchTail(sequence.tip);
    }
    live.add(sequence);
    return sequence;
  }

  /// A node's block, or null where nothing behind the match sees it.
  private static @Nullable Block visible(PrefixNode node, LayerGroup group, PrefixMatch match) {
    return Windows.isVisible(group, node.index, match.tokens()) ? node.blocks[group.id()] : null;
  }

  private int formToHold(Block block, PrefixMatch match) {
    int form =
        forms.cools(block.group())
            ? PrefixFinder.formToHold(rule, block, match.nodes().size())
            : BlockRef.EXACT;
    if (form < 0) {
      throw new IllegalStateException(block + " has changed since it was matched");
    }
    return form;
  }

  private void hold(BlockTable table, int index, int form) {
    tree.retain(table.present(index), form);
    table.show(index, form);
  }

  private void letGo(BlockTable table, int index, int form, long now) {
    if (table.shows(index, form)) {
      table.hide(index, form);
      tree.release(table.present(index), form, now);
    }
  }

  private void letGo(BlockTable table, int index, long now) {
    for (int form = 0; form <= table.cooledForms(); form++) {
      letGo(table, index, form, now);
    }
  }

  /// Counts a lookup for the statistics: once per request, whatever is retried.
  public void countLookup(int promptTokens, int foundTokens) {
    queryTokens += promptTokens;
    hitTokens += foundTokens;
  }

  /// Makes room for the next `tokens` tokens of a sequence, and for the forms in which their
  /// queries read what lies before them, evicting what is cached if it must.
  ///
  /// @return tokens that there is room for: fewer, or none, where memory is used up by sequences
  public int reserve(SequenceCache sequence, int tokens) {
    requireOpen(sequence);
    int target = Math.addExact(sequence.computedTokens, tokens);
    while (sequence.reservedTokens() < target && appendBlock(sequence)) {}
    return Math.min(tokens, sequence.reservedTokens() - sequence.computedTokens);
  }

  private boolean appendBlock(SequenceCache sequence) {
    int index = sequence.tables[0].end();
    List<Hold> held = new ArrayList<>();
    for (int g = 0; g < sequence.tables.length; g++) {
      BlockTable table = sequence.tables[g];
      Block block = allocate(g, index);
      if (block != null) {
        table.append(block);
        hold(table, index, BlockRef.EXACT);
      }
      if (block == null || !coolFor(table, index, held)) {
        takeBack(sequence, index, held);
        return false;
      }
    }
    return true;
  }

  private @Nullable Block allocate(int group, int index) {
    while (true) {
      Block block = pool.allocate(group, index);
      if (block != null || !tree.evictOne()) {
        return block;
      }
    }
  }

  /// Makes the blocks that queries in block `queryBlock` are the first to read in some form exist
  /// in it.
  private boolean coolFor(BlockTable table, int queryBlock, List<Hold> held) {
    for (int form = 1; form <= table.cooledForms(); form++) {
      int index = newest(form, queryBlock);
      if (index < rule.firstBlocks() || table.shows(index, form)) {
        continue;
      }
      Block block = table.present(index);
      if (!block.has(form)) {
        if (!tree.addForm(block, form)) {
          return false;
        }
        pending.add(new Pending(block, form));
      }
      hold(table, index, form);
      held.add(new Hold(table, index, form));
    }
    return true;
  }

  /// The newest block that queries in block `queryBlock` read in a form, or in a cooler one.
  private int newest(int form, int queryBlock) {
    return queryBlock - 1 - rule.ageBlocks().get(form - 1);
  }

  /// Undoes what was done to append block `index`.
  private void takeBack(SequenceCache sequence, int index, List<Hold> held) {
    long now = tree.tick();
    held.forEach(hold -> letGo(hold.table, hold.index, hold.form, now));
    for (BlockTable table : sequence.tables) {
      if (table.end() > index) {
        letGo(table, index, now);
        table.removeLast();
      }
    }
    dropPending();
  }

  /// Forgets reserved forms that were let go before a step filled them.
  private void dropPending() {
    pending.removeIf(cooling -> !cooling.block.isPending(cooling.form));
  }

  /// Hands over what the next step has to cool, blocks in order and each one's forms in order. The
  /// caller sees to it that a step fills them before anything is published.
  public List<Cooling> takeCoolings() {
    List<Cooling> taken = new ArrayList<>();
    pending.sort(
        Comparator.<Pending>comparingInt(cooling -> cooling.block.group())
            .thenComparingInt(cooling -> cooling.block.index())
            .thenComparingLong(cooling -> cooling.block.id())
            .thenComparingInt(Pending::form));
    for (Pending cooling : pending) {
      Block block = cooling.block;
      int from = cooling.form - 1;
      while (from > 0 && !block.has(from)) {
        from--;
      }
      if (block.has(BlockRef.EXACT)) {
        from = BlockRef.EXACT;
      }
      taken.add(
          new Cooling(block.group(), block.index(), block.ref(from), block.ref(cooling.form)));
    }
    pending.forEach(cooling -> tree.filled(cooling.block, cooling.form));
    coolings += pending.size();
    pending.clear();
    return taken;
  }

  /// Says that the keys and values of the first `computedTokens` tokens are in the cache. Full
  /// blocks go to the prefix tree; what no future query of the sequence reads is let go.
  public void publish(SequenceCache sequence, int[] tokens, int computedTokens) {
    requireOpen(sequence);
    if (computedTokens < sequence.computedTokens || computedTokens > sequence.reservedTokens()) {
      throw new IllegalArgumentException(
          "%d computed tokens; %d were so before, and %d are reserved"
              .formatted(computedTokens, sequence.computedTokens, sequence.reservedTokens()));
    }
    if (!pending.isEmpty()) {
      throw new IllegalStateException(pending.size() + " coolings were not taken");
    }
    sequence.computedTokens = computedTokens;
    while (sequence.publishes && (sequence.publishedBlocks + 1) * BLOCK <= computedTokens) {
      publishBlock(sequence, tokens);
    }
    for (LayerGroup group : geometry.groups()) {
      passWindow(group, sequence.tables[group.id()], computedTokens);
    }
    settle(sequence);
    tree.trimTails();
  }

  private void publishBlock(SequenceCache sequence, int[] tokens) {
    int index = sequence.publishedBlocks;
    BlockHash hash = sequence.chain.extend(tokens, (index + 1) * BLOCK).get(index);
    PrefixNode node = tree.find(hash, tokens, index * BLOCK);
    PrefixNode parent = sequence.tip;
    if (node == null) {
      if (tree.contains(hash)) {
        sequence.publishes = false;
        return;
      }
      if (parent != null && parent.children > 0) {
        keepTail(parent);
      }
      node = tree.add(hash, parent, index, tokens);
    }
    for (BlockTable table : sequence.tables) {
      Block own = table.present(index);
      table.replace(index, tree.put(node, own));
    }
    tree.pin(node);
    tree.unpin(parent);
    sequence.tip = node;
    sequence.publishedBlocks++;
  }

  private void passWindow(LayerGroup group, BlockTable table, int position) {
    int first = Windows.firstVisible(group, position);
    if (first > table.firstBlock()) {
      long now = tree.tick();
      for (int i = Math.max(table.firstBlock(), table.keptSinkBlocks()); i < first; i++) {
        letGo(table, i, now);
        table.remove(i);
      }
      table.setFirst(first);
    }
  }

  /// Lets go of the forms that only queries in blocks which are done with have read.
  private void settle(SequenceCache sequence) {
    int reached = Math.min(sequence.computedTokens / BLOCK, sequence.tables[0].end() - 1);
    for (; sequence.settledBlocks <= reached; sequence.settledBlocks++) {
      long now = tree.tick();
      for (BlockTable table : sequence.tables) {
        for (int form = 1; form <= table.cooledForms(); form++) {
          int index = newest(form, sequence.settledBlocks);
          for (int older = 0; older < form && index >= rule.firstBlocks(); older++) {
            letGo(table, index, older, now);
          }
        }
      }
    }
  }

  /// Keeps what a later sequence needs to go on where this one has got to: called at the end of a
  /// prompt and of a turn. Costs nothing where all layers see the whole sequence and stay exact.
  public void keepTail(SequenceCache sequence) {
    requireOpen(sequence);
    if (sequence.tip != null) {
      keepTail(sequence.tip);
    }
  }

  private void keepTail(PrefixNode tip) {
    int border = tip.index + 1;
    List<PrefixNode.Held> tail = new ArrayList<>();
    for (LayerGroup group : geometry.groups()) {
      boolean cools = forms.cools(group.id());
      if (group.isFull() && !cools) {
        continue;
      }
      int oldest = cools ? Math.max(rule.firstBlocks(), newest(rule.forms(), border)) : 0;
      for (PrefixNode node = tip; node != null && node.index >= oldest; node = node.parent) {
        if (Windows.isVisible(group, node.index, border * BLOCK)) {
          Block block = node.blocks[group.id()];
          int form = block == null ? -1 : cools ? PrefixFinder.formToHold(rule, block, border) : 0;
          if (block == null || form < 0) {
            return;
          }
          tail.add(new PrefixNode.Held(block, form));
        }
      }
    }
    if (!tail.isEmpty()) {
      tree.keepTail(tip, tail);
    }
  }

  /// Ends a sequence. Its published blocks stay cached.
  public void release(SequenceCache sequence) {
    requireOpen(sequence);
    long now = tree.tick();
    for (BlockTable table : sequence.tables) {
      for (int i = 0; i < table.end(); i++) {
        if (table.block(i) != null) {
          letGo(table, i, now);
          table.remove(i);
        }
      }
    }
    dropPending();
    tree.unpin(sequence.tip);
    sequence.tip = null;
    sequence.open = false;
    live.remove(sequence);
  }

  private static void requireOpen(SequenceCache sequence) {
    if (!sequence.open) {
      throw new IllegalStateException("the sequence was released");
    }
  }

  /// Frees cached blocks until `bytes` are free or none is left.
  public void evict(long bytes) {
    while (budget.limitBytes() - budget.usedBytes() < bytes && tree.evictOne()) {}
  }

  /// Gives the memory of free slabs back to the machine: for when there is nothing else to do.
  public void trim() {
    pool.trim();
  }

  public KvStats stats() {
    long blockBytes = forms.exact().stream().mapToLong(SlabLayout::slabBytes).sum();
    return new KvStats(
        pool.referencedBlocks(),
        tree.idle().blocks(),
        budget.limitBytes() / blockBytes * geometry.groups().size(),
        pool.referencedBytes(),
        budget.usedBytes() - pool.referencedBytes(),
        tree.idle().copyBytes(),
        tree.idle().tailBytes(),
        budget.limitBytes(),
        queryTokens,
        hitTokens,
        tree.evictedBlocks(),
        coolings,
        census.count(pool));
  }

  /// The cache as it is, block by block.
  public CachePicture picture() {
    List<List<CachePicture.Block>> blocks = new ArrayList<>();
    geometry.groups().forEach(group -> blocks.add(new ArrayList<>()));
    Set<Block> seen = Collections.newSetFromMap(new IdentityHashMap<>());
    for (PrefixNode node : tree.nodes()) {
      for (Block block : node.blocks) {
        picture(block, seen, blocks);
      }
    }
    for (SequenceCache sequence : live) {
      for (BlockTable table : sequence.tables) {
        for (int i = 0; i < table.end(); i++) {
          picture(table.block(i), seen, blocks);
        }
      }
    }
    List<CachePicture.Group> groups = new ArrayList<>();
    for (LayerGroup group : geometry.groups()) {
      List<CachePicture.Block> own = blocks.get(group.id());
      own.sort(Comparator.comparingLong(CachePicture.Block::id));
      groups.add(
          new CachePicture.Group(group.layers(), group.window(), forms.picture(group.id()), own));
    }
    return new CachePicture(policy.text(), stats(), groups);
  }

  private void picture(
      @Nullable Block block, Set<Block> seen, List<List<CachePicture.Block>> blocks) {
    if (block == null || !seen.add(block)) {
      return;
    }
    List<Integer> own = new ArrayList<>();
    List<Integer> references = new ArrayList<>();
    List<Integer> tails = new ArrayList<>();
    for (int form = 0; form < block.forms(); form++) {
      if (block.isReady(form)) {
        own.add(form);
        references.add(block.references(form));
        tails.add(block.tails(form));
      }
    }
    blocks
        .get(block.group())
        .add(
            new CachePicture.Block(
                block.id(),
                block.index(),
                own,
                references,
                tails,
                block.node != null,
                block.isReferenced() ? 0 : tree.age(block)));
  }

  /// Counts everything anew and compares.
  ///
  /// @throws IllegalStateException naming the first thing that does not add up
  public void checkIntegrity() {
    new IntegrityCheck(geometry, rule, budget, pool, tree).run(live);
  }

  /// Sequences that are open.
  public Collection<SequenceCache> liveSequences() {
    return Collections.unmodifiableSet(live);
  }
}
