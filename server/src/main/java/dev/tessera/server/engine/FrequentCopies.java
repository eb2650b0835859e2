package dev.tessera.server.engine;

import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import dev.tessera.kvcache.BlockHash;
import dev.tessera.kvcache.CopyKeeper;

/// Keeps the exact copies of the prefixes that are asked for most often of late: W-TinyLFU
/// (Einziger, Friedman and Manes, 2017), which a flood of prompts that come once does not impress.
final class FrequentCopies implements CopyKeeper {
  private final Cache<BlockHash, Boolean> kept;

  /// @param blocks whose copies are kept at most
  FrequentCopies(long blocks) {
    kept = Caffeine.newBuilder().maximumSize(blocks).executor(Runnable::run).build();
  }

  @Override
  public void asked(BlockHash block) {
    if (kept.getIfPresent(block) == null) {
      kept.put(block, true);
    }
  }

  @Override
  public boolean keeps(BlockHash block) {
    return kept.asMap().containsKey(block);
  }
}
