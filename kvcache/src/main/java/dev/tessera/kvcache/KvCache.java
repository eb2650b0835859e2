package dev.tessera.kvcache;

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
public final class KvCache {
  private static final byte[] NOTHING_LEARNED = {};
  private static final int BLOCK = TileShape.BLOCK_TOKENS;

  private final KvGeometry geometry;
  private final KvPolicy policy;
  private final byte[] fingerprint;
  private final String formats;
  private final long[] slabBytes; // [groups], exact
  private final MemoryBudget budget;
  private final BlockPool pool;
  private final PrefixTree tree;
  private final Set<SequenceCache> live = Collections.newSetFromMap(new IdentityHashMap<>());
  private long queryTokens;
  private long hitTokens;

  /// @param slabs layouts of the exact slabs, one per layer group
  /// @param fingerprint of the model
  /// @param discard told about free slabs whose memory may go back
  public KvCache(
      KvGeometry geometry,
      List<SlabLayout> slabs,
      KvPolicy policy,
      MemoryBudget budget,
      byte[] fingerprint,
      SlabDiscard discard) {
    if (slabs.size() != geometry.groups().size()) {
      throw new IllegalArgumentException(
          slabs.size() + " slab layouts for " + geometry.groups().size() + " layer groups");
    }
    this.geometry = geometry;
    this.policy = policy;
    this.fingerprint = fingerprint.clone();
    this.formats = describe(slabs);
    this.slabBytes = slabs.stream().mapToLong(SlabLayout::slabBytes).toArray();
    this.budget = budget;
    long[][] bytes = new long[slabBytes.length][];
    for (int g = 0; g < bytes.length; g++) {
      bytes[g] = new long[] {slabBytes[g]};
    }
    this.pool = new BlockPool(bytes, budget, discard);
    this.tree = new PrefixTree(geometry, pool);
  }

  private static String describe(List<SlabLayout> slabs) {
    StringBuilder text = new StringBuilder();
    for (SlabLayout slab : slabs) {
      text.append(slab.group().layers()).append(':').append(slab.kvHeads());
      for (TileFormat format : List.of(slab.key(), slab.value())) {
        text.append(':').append(format.name()).append('/').append(format.version());
        text.append('/').append(format.shape().headDim());
      }
      text.append(';');
    }
    return text.toString();
  }

  /// Slabs of each group that the whole budget could hold: what a session needs addresses for.
  public static int[] slabCapacities(List<SlabLayout> slabs, long budgetBytes) {
    return slabs.stream()
        .mapToInt(slab -> BlockPool.capacity(slab.slabBytes(), budgetBytes))
        .toArray();
  }

  /// The root of the hashes of all requests with this salt. Safe for any thread.
  public BlockHash root(String salt) {
    return BlockHash.root(fingerprint, policy.text(), formats, NOTHING_LEARNED, salt);
  }

  /// The longest cached prefix of the first `count` tokens that every layer group can go on from.
  /// The last token is never part of it: its logits have to be computed.
  public PrefixMatch match(HashChain chain, int[] tokens, int count) {
    int limit = (count - 1) / BLOCK;
    chain.extend(tokens, limit * BLOCK);
    List<PrefixNode> path = new ArrayList<>();
    while (path.size() < limit) {
      PrefixNode node = tree.find(chain.get(path.size()), tokens, path.size() * BLOCK);
      if (node == null || !holdsFullGroups(node)) {
        break;
      }
      path.add(node);
    }
    int length = path.size();
    while (length > 0 && !windowsReach(path, length)) {
      length--;
    }
    return new PrefixMatch(chain, List.copyOf(path.subList(0, length)));
  }

  private boolean holdsFullGroups(PrefixNode node) {
    for (LayerGroup group : geometry.groups()) {
      if (group.isFull() && node.blocks[group.id()] == null) {
        return false;
      }
    }
    return true;
  }

  /// Whether a query right behind the first `length` blocks finds all that its windows let it see.
  private boolean windowsReach(List<PrefixNode> path, int length) {
    for (LayerGroup group : geometry.groups()) {
      int first = firstVisible(group, length * BLOCK);
      if (!group.isFull()
          && !(holds(path, group, 0, Math.min(sinkBlocks(group), length))
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

  /// Whether a query at `position` or behind it sees anything of a block.
  private static boolean isVisible(LayerGroup group, int block, int position) {
    return block >= firstVisible(group, position) || block < sinkBlocks(group);
  }

  private static int firstVisible(LayerGroup group, int position) {
    return group.isFull() ? 0 : Math.max(0, position - group.window() + 1) / BLOCK;
  }

  private static int sinkBlocks(LayerGroup group) {
    return group.isFull() ? 0 : Math.ceilDiv(group.sinkTokens(), BLOCK);
  }

  /// Bytes that opening `match` and computing up to `tokens` tokens would take from what is
  /// available.
  public long bytesToOpen(PrefixMatch match, int tokens) {
    long bytes = 0;
    for (LayerGroup group : geometry.groups()) {
      bytes += missingBytes(group, match.nodes().size(), tokens);
      for (PrefixNode node : match.nodes()) {
        Block block = node.blocks[group.id()];
        if (block != null
            && !block.isReferenced()
            && isVisible(group, node.index, match.tokens())) {
          bytes += pool.bytes(block);
        }
      }
    }
    return bytes;
  }

  /// Bytes that a sequence will still take until `tokens` of its tokens are computed.
  public long bytesMissing(SequenceCache sequence, int tokens) {
    long bytes = 0;
    for (LayerGroup group : geometry.groups()) {
      bytes += missingBytes(group, sequence.tables[group.id()].end(), tokens);
    }
    return bytes;
  }

  private long missingBytes(LayerGroup group, int presentBlocks, int tokens) {
    int blocks = Math.max(0, Math.ceilDiv(tokens, BLOCK) - presentBlocks);
    return slabBytes[group.id()] * Math.min(blocks, mostBlocks(group));
  }

  /// Blocks that a sequence of any length must hold at once in a group, if it computes no more than
  /// a block's tokens at a time.
  private static int mostBlocks(LayerGroup group) {
    return group.isFull()
        ? Integer.MAX_VALUE
        : sinkBlocks(group) + Math.ceilDiv(group.window() - 1, BLOCK) + 1;
  }

  /// Bytes that a sequence of `tokens` tokens needs when it is alone.
  public long bytesFor(int tokens) {
    long bytes = 0;
    for (LayerGroup group : geometry.groups()) {
      bytes += missingBytes(group, 0, tokens);
    }
    return bytes;
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
      BlockTable table = new BlockTable(sinkBlocks(group));
      tables[group.id()] = table;
      for (PrefixNode node : match.nodes()) {
        Block block = node.blocks[group.id()];
        if (block == null || !isVisible(group, node.index, match.tokens())) {
          table.appendGap();
        } else {
          tree.retain(block, BlockRef.EXACT);
          table.append(block, BlockRef.EXACT);
        }
      }
      table.setFirst(firstVisible(group, match.tokens()));
    }
    SequenceCache sequence = new SequenceCache(match.chain(), tables, match.tokens());
    sequence.publishedBlocks = match.nodes().size();
    if (!match.nodes().isEmpty()) {
      sequence.tip = match.nodes().getLast();
      tree.pin(sequence.tip);
      tree.touchTail(sequence.tip);
    }
    live.add(sequence);
    return sequence;
  }

  /// Counts a lookup for the statistics: once per request, whatever is retried.
  public void countLookup(int promptTokens, int foundTokens) {
    queryTokens += promptTokens;
    hitTokens += foundTokens;
  }

  /// Makes room for the next `tokens` tokens of a sequence, evicting cached blocks if it must.
  ///
  /// @return tokens that there is room for: fewer, or none, where memory is used up by sequences
  public int reserve(SequenceCache sequence, int tokens) {
    requireOpen(sequence);
    int target = Math.addExact(sequence.computedTokens, tokens);
    while (sequence.reservedTokens() < target && appendBlock(sequence)) {}
    return Math.min(tokens, sequence.reservedTokens() - sequence.computedTokens);
  }

  private boolean appendBlock(SequenceCache sequence) {
    for (int g = 0; g < sequence.tables.length; g++) {
      Block block = allocate(g, sequence.tables[g].end());
      if (block == null) {
        while (--g >= 0) {
          dropReference(sequence.tables[g].removeLast(), tree.tick());
        }
        return false;
      }
      tree.retain(block, BlockRef.EXACT);
      sequence.tables[g].append(block, BlockRef.EXACT);
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

  /// Says that the keys and values of the first `computedTokens` tokens are in the cache. Full
  /// blocks go to the prefix tree; blocks behind the window of every future query are let go.
  public void publish(SequenceCache sequence, int[] tokens, int computedTokens) {
    requireOpen(sequence);
    if (computedTokens < sequence.computedTokens || computedTokens > sequence.reservedTokens()) {
      throw new IllegalArgumentException(
          "%d computed tokens; %d were so before, and %d are reserved"
              .formatted(computedTokens, sequence.computedTokens, sequence.reservedTokens()));
    }
    sequence.computedTokens = computedTokens;
    while (sequence.publishes && (sequence.publishedBlocks + 1) * BLOCK <= computedTokens) {
      publishBlock(sequence, tokens);
    }
    for (LayerGroup group : geometry.groups()) {
      passWindow(group, sequence.tables[group.id()], computedTokens);
    }
  }

  private void publishBlock(SequenceCache sequence, int[] tokens) {
    int index = sequence.publishedBlocks;
    BlockHash hash = sequence.chain.extend(tokens, (index + 1) * BLOCK).get(index);
    Block[] own = new Block[sequence.tables.length];
    for (int g = 0; g < own.length; g++) {
      own[g] = present(sequence.tables[g], index);
    }
    PrefixNode node = tree.find(hash, tokens, index * BLOCK);
    if (node != null) {
      for (Block block : own) {
        tree.adopt(node, block);
      }
    } else if (tree.contains(hash)) {
      sequence.publishes = false;
      return;
    } else {
      node = tree.add(hash, sequence.tip, index, tokens, own);
    }
    tree.pin(node);
    tree.unpin(sequence.tip);
    sequence.tip = node;
    sequence.publishedBlocks++;
  }

  private static Block present(BlockTable table, int index) {
    Block block = table.block(index);
    if (block == null) {
      throw new IllegalStateException("block " + index + " was let go before it was published");
    }
    return block;
  }

  private void passWindow(LayerGroup group, BlockTable table, int position) {
    int first = firstVisible(group, position);
    if (first > table.firstBlock()) {
      long now = tree.tick();
      for (int i = Math.max(table.firstBlock(), table.keptSinkBlocks()); i < first; i++) {
        dropReference(table.remove(i), now);
      }
      table.setFirst(first);
    }
  }

  private void dropReference(@Nullable Block block, long now) {
    if (block != null) {
      tree.release(block, BlockRef.EXACT, now);
    }
  }

  /// Keeps what a later sequence needs to go on where this one has got to: called at the end of a
  /// prompt and of a turn. Costs nothing where all layers see the whole sequence.
  public void keepTail(SequenceCache sequence) {
    requireOpen(sequence);
    PrefixNode tip = sequence.tip;
    if (tip == null || geometry.groups().stream().allMatch(LayerGroup::isFull)) {
      return;
    }
    int position = (tip.index + 1) * BLOCK;
    List<Block> blocks = new ArrayList<>();
    for (PrefixNode node = tip; node != null; node = node.parent) {
      for (LayerGroup group : geometry.groups()) {
        if (!group.isFull() && isVisible(group, node.index, position)) {
          Block block = node.blocks[group.id()];
          if (block == null) {
            return;
          }
          blocks.add(block);
        }
      }
    }
    tree.keepTail(tip, blocks);
  }

  /// Ends a sequence. Its published blocks stay cached.
  public void release(SequenceCache sequence) {
    requireOpen(sequence);
    long now = tree.tick();
    for (BlockTable table : sequence.tables) {
      for (int i = 0; i < table.end(); i++) {
        dropReference(table.remove(i), now);
      }
    }
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
    long blockBytes = 0;
    for (long bytes : slabBytes) {
      blockBytes += bytes;
    }
    return new KvStats(
        pool.referencedBlocks(),
        tree.idleBlocks(),
        budget.limitBytes() / blockBytes * slabBytes.length,
        pool.referencedBytes(),
        budget.usedBytes() - pool.referencedBytes(),
        budget.limitBytes(),
        queryTokens,
        hitTokens,
        tree.evictedBlocks());
  }

  /// Counts everything anew and compares.
  ///
  /// @throws IllegalStateException naming the first thing that does not add up
  public void checkIntegrity() {
    new IntegrityCheck(geometry, budget, pool, tree).run(live);
  }

  /// Sequences that are open.
  public Collection<SequenceCache> liveSequences() {
    return Collections.unmodifiableSet(live);
  }
}
