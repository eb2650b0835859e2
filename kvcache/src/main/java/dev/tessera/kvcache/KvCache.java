package dev.tessera.kvcache;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
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
/// Where blocks cool, [#takeCoolings] says what the step has to fill: by age, what the queries of
/// the reserved blocks are the first to read in a form, so that a block which cools inside a chunk
/// exists in both forms until the chunk ends ([AgeCooler]); by temperature, what is to make room
/// ([HeatCooler]).
public final class KvCache {
  private static final int BLOCK = TileShape.BLOCK_TOKENS;

  private final KvGeometry geometry;
  private final BlockForms forms;
  private final KvPolicy policy;
  private final byte[] fingerprint;
  private final String formats;
  private final Footprint footprint;
  private final MemoryBudget budget;
  private final BlockPool pool;
  private final PrefixTree tree;
  private final PrefixFinder finder;
  private final @Nullable TierReader below;
  private final FormatCensus census;
  private final Set<SequenceCache> live = Collections.newSetFromMap(new IdentityHashMap<>());
  private final PendingCoolings coolings;
  private final Holds holds;
  private final CopyKeeper keeper;
  private final PrefixForms needed;
  private final Cooler cooler;
  private final @Nullable HeatCooler temperature; // the same, where it is one
  private long queryTokens;
  private long hitTokens;

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
    this(geometry, forms, policy, budget, fingerprint, discard, null, CopyKeeper.NONE);
  }

  /// @param below takes what is given up for memory and may be wanted again; null for nobody
  /// @param keeper chooses exact copies, where temperature decides
  public KvCache(
      KvGeometry geometry,
      BlockForms forms,
      KvPolicy policy,
      MemoryBudget budget,
      byte[] fingerprint,
      SlabDiscard discard,
      @Nullable TierBelow below,
      CopyKeeper keeper) {
    if (forms.exact().size() != geometry.groups().size()) {
      throw new IllegalArgumentException(
          forms.exact().size() + " slab layouts for " + geometry.groups().size() + " layer groups");
    }
    this.geometry = geometry;
    this.forms = forms;
    this.policy = policy;
    this.fingerprint = fingerprint.clone();
    this.formats = forms.describe();
    long[][] slabBytes = forms.slabBytes();
    this.footprint = new Footprint(geometry.groups(), forms.rule(), slabBytes);
    this.budget = budget;
    this.pool = new BlockPool(slabBytes, budget, discard);
    TierWriter writer = below == null ? null : new TierWriter(below, pool);
    this.tree = new PrefixTree(geometry, pool, writer, keeper);
    this.keeper = keeper;
    this.coolings = new PendingCoolings(tree);
    this.holds = new Holds(tree);
    CoolingRule rule = forms.rule();
    this.needed = policy.byTemperature() ? new FormsByHeat(rule) : new FormsByAge(rule);
    this.temperature =
        policy.byTemperature() ? new HeatCooler(forms, pool, tree, holds, coolings) : null;
    this.cooler = temperature != null ? temperature : new AgeCooler(rule, tree, holds, coolings);
    this.finder = new PrefixFinder(geometry, forms, needed, tree);
    this.below = below == null ? null : new TierReader(below, pool, tree, finder);
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
    PrefixMatch match = new PrefixMatch(chain, finder.find(chain, tokens, (count - 1) / BLOCK));
    // A step of coolings must always be possible, however hot what was found is.
    while (temperature != null
        && !match.nodes().isEmpty()
        && bytesToOpen(match, match.tokens()) + temperature.spareBytes() > availableBytes()) {
      match = new PrefixMatch(chain, finder.find(chain, tokens, match.nodes().size() - 1));
    }
    return match;
  }

  /// Sends for the longest prefix of the first `count` tokens that the tier below can help to go on
  /// from. Null if it has nothing that makes it longer, or if that is not worth it.
  public @Nullable Recall recall(HashChain chain, int[] tokens, int count, Recall.Worth worth) {
    return below == null
        ? null
        : below.plan(chain, tokens, (count - 1) / BLOCK, availableBytes(), worth);
  }

  /// Moves a recall on: what has come is there to be matched, as far as there is memory.
  ///
  /// @return whether there is more to wait for
  public boolean advance(Recall recall) {
    if (below != null && below.advance(recall)) {
      return true;
    }
    if (recall.tip != null && tree.has(recall.tip)) {
      keepTail(recall.tip);
    }
    return false;
  }

  /// Ends a recall early. What has come stays.
  public void abandon(Recall recall) {
    if (below != null) {
      below.abandon(recall);
    }
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
    return footprint.capacityTokens(budget.limitBytes(), limit);
  }

  /// Bytes that no live sequence references: free ones, and ones that eviction would free.
  public long availableBytes() {
    return budget.limitBytes() - pool.referencedBytes();
  }

  /// Bytes that would be available if all that live sequences hold were as cool as it may be.
  public long reachableBytes() {
    return availableBytes() + cooler.reclaimableBytes(live);
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
          Holds.Hold ignored = holds.take(table, node.index, formToHold(block, match));
          if (temperature != null) {
            temperature.noteHit(block);
          }
        }
      }
      table.setFirst(Windows.firstVisible(group, match.tokens()));
    }
    SequenceCache sequence = new SequenceCache(match.chain(), tables, match.tokens());
    if (!match.nodes().isEmpty()) {
      sequence.tip = match.nodes().getLast();
      tree.pin(sequence.tip);
      tree.touchTail(sequence.tip);
      match.nodes().forEach(node -> keeper.asked(node.hash));
    }
    live.add(sequence);
    cooler.sequencesChanged();
    return sequence;
  }

  /// A node's block, or null where nothing behind the match sees it.
  private static @Nullable Block visible(PrefixNode node, LayerGroup group, PrefixMatch match) {
    return Windows.isVisible(group, node.index, match.tokens()) ? node.blocks[group.id()] : null;
  }

  private int formToHold(Block block, PrefixMatch match) {
    int form =
        forms.cools(block.group())
            ? needed.toHold(block.readyForms(), block.index(), match.nodes().size())
            : BlockRef.EXACT;
    if (form < 0) {
      throw new IllegalStateException(block + " has changed since it was matched");
    }
    return form;
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
    while (sequence.reservedTokens() < target
        && cooler.mayAppend(live, Math.ceilDiv(target - sequence.reservedTokens(), BLOCK))
        && appendBlock(sequence)) {}
    return Math.min(tokens, sequence.reservedTokens() - sequence.computedTokens);
  }

  private boolean appendBlock(SequenceCache sequence) {
    int index = sequence.tables[0].end();
    List<Holds.Hold> held = new ArrayList<>();
    for (int g = 0; g < sequence.tables.length; g++) {
      BlockTable table = sequence.tables[g];
      Block block = tree.allocate(g, index, BlockRef.EXACT);
      if (block != null) {
        table.append(block);
        Holds.Hold ignored = holds.take(table, index, BlockRef.EXACT);
      }
      if (block == null || !cooler.append(table, index, held)) {
        takeBack(sequence, index, held);
        return false;
      }
    }
    return true;
  }

  /// Undoes what was done to append block `index`.
  private void takeBack(SequenceCache sequence, int index, List<Holds.Hold> held) {
    long now = tree.tick();
    held.forEach(hold -> holds.letGo(hold.table(), hold.index(), hold.form(), now));
    for (BlockTable table : sequence.tables) {
      if (table.end() > index) {
        holds.letGo(table, index, now);
        table.removeLast();
      }
    }
    coolings.forgetReleased();
  }

  /// Hands over what the next step has to cool, blocks in order and each one's forms in order. The
  /// caller sees to it that a step fills them before anything is published.
  public List<Cooling> takeCoolings() {
    cooler.beforeStep(live);
    return coolings.take();
  }

  /// Says that the step which the coolings were taken for has been computed: before anything of it
  /// is published.
  public void endStep() {
    cooler.afterStep();
  }

  /// Whether a sequence did not get what it wanted to reserve because blocks are to cool first: the
  /// next step will make room, if need be one that computes nothing.
  public boolean makesRoom() {
    return cooler.makesRoom(live);
  }

  /// Forms besides the exact one in which blocks of a group may exist.
  public int cooledForms(int group) {
    return pool.forms(group) - 1;
  }

  /// Whether temperature decides in which form queries read a block. Then the tables say it, and
  /// the cache wants to know now and then what attention blocks get.
  public boolean byTemperature() {
    return temperature != null;
  }

  /// Takes note of the attention that a sequence's query gave to the blocks of a group.
  ///
  /// @param shares from 0 to 1, by logical block
  public void noteMass(SequenceCache sequence, int group, float[] shares) {
    requireOpen(sequence);
    if (temperature != null) {
      temperature.noteMass(sequence.tables[group], shares);
    }
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
    coolings.requireNone();
    sequence.computedTokens = computedTokens;
    while (sequence.publishes && (sequence.publishedBlocks + 1) * BLOCK <= computedTokens) {
      publishBlock(sequence, tokens);
    }
    for (LayerGroup group : geometry.groups()) {
      passWindow(group, sequence.tables[group.id()], computedTokens);
    }
    cooler.settle(sequence);
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
        holds.letGo(table, i, now);
        table.remove(i);
      }
      table.setFirst(first);
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
    List<PrefixNode.Held> tail = finder.tail(tip);
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
          holds.letGo(table, i, now);
          table.remove(i);
        }
      }
    }
    coolings.forgetReleased();
    tree.unpin(sequence.tip);
    sequence.tip = null;
    sequence.open = false;
    live.remove(sequence);
    cooler.sequencesChanged();
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
        coolings.taken(),
        census.count((group, form) -> pool.pool(group, form).usedSlabs()),
        below == null ? List.of() : List.of(below.use(census)));
  }

  /// Offers all that later prefixes may need to the tier below, if that outlasts this process.
  /// Waits for it, so long at most.
  ///
  /// @return slabs that the tier holds of it
  public int lower(Duration limit) throws InterruptedException {
    return tree.lowerAll(limit);
  }

  /// The cache as it is, block by block.
  public CachePicture picture() {
    return new CachePicture(
        policy.text(), stats(), new CachePainter(tree, temperature).groups(geometry, forms, live));
  }

  /// Counts everything anew and compares.
  ///
  /// @throws IllegalStateException naming the first thing that does not add up
  public void checkIntegrity() {
    new IntegrityCheck(geometry, forms.rule(), policy.byTemperature(), budget, pool, tree)
        .run(live);
  }

  /// Sequences that are open.
  public Collection<SequenceCache> liveSequences() {
    return Collections.unmodifiableSet(live);
  }
}
