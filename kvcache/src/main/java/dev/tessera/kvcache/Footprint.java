package dev.tessera.kvcache;

import java.util.List;

/// What a sequence takes of the cache, by its length alone: the sizes that the policy reaches.
final class Footprint {
  private static final int BLOCK = TileShape.BLOCK_TOKENS;

  private final List<LayerGroup> groups;
  private final CoolingRule rule;
  private final long[][] slabBytes; // [groups][forms]

  Footprint(List<LayerGroup> groups, CoolingRule rule, long[][] slabBytes) {
    this.groups = groups;
    this.rule = rule;
    this.slabBytes = slabBytes;
  }

  /// Bytes that a sequence with `presentBlocks` blocks still takes until `tokens` tokens are
  /// computed, if it computes no more than a block's tokens at a time.
  long growth(int presentBlocks, int tokens) {
    long bytes = 0;
    for (LayerGroup group : groups) {
      bytes += growth(group, presentBlocks, Math.ceilDiv(tokens, BLOCK));
    }
    return bytes;
  }

  /// Tokens of the longest sequence, up to `limit`, that takes no more than so many bytes.
  int capacityTokens(long bytes, int limit) {
    int low = 0;
    int high = limit;
    while (low < high) {
      int middle = low + Math.ceilDiv(high - low, 2);
      if (growth(0, middle) <= bytes) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }

  private long growth(LayerGroup group, int presentBlocks, int blocks) {
    if (blocks <= presentBlocks) {
      return 0;
    }
    if (!group.isFull()) {
      return slabBytes[group.id()][0] * Math.min(blocks - presentBlocks, mostBlocks(group));
    }
    return peak(group.id(), blocks) - settled(group.id(), presentBlocks);
  }

  /// Blocks that a sequence of any length must hold at once in a group with a window.
  private static int mostBlocks(LayerGroup group) {
    return Math.ceilDiv(group.sinkTokens(), BLOCK) + Math.ceilDiv(group.window() - 1, BLOCK) + 1;
  }

  /// Bytes of the first `blocks` blocks once the last of them is computed: what the next query
  /// reads, or what that is made from.
  private long settled(int group, int blocks) {
    long[] bytes = slabBytes[group];
    long cooling = bytes.length == 1 ? 0 : Math.max(0, blocks - rule.firstBlocks());
    long sum = (blocks - cooling) * bytes[0];
    long younger = 0;
    for (int form = 0; form < bytes.length && cooling > 0; form++) {
      boolean coolest = form == bytes.length - 1;
      long upTo = coolest ? cooling : Math.min(cooling, rule.ageBlocks().get(form) + 1L);
      sum += (upTo - younger) * bytes[form];
      younger = upTo;
    }
    return sum;
  }

  /// Bytes while the last of `blocks` blocks is computed: blocks that cool in this step exist
  /// twice.
  private long peak(int group, int blocks) {
    long[] bytes = slabBytes[group];
    long sum = settled(group, blocks - 1) + bytes[0];
    for (int form = 1; form < bytes.length; form++) {
      if (blocks - 2 - rule.ageBlocks().get(form - 1) >= rule.firstBlocks()) {
        sum += bytes[form];
      }
    }
    return sum;
  }
}
