package dev.tessera.kvcache;

import static dev.tessera.kvcache.Fixtures.FULL;
import static dev.tessera.kvcache.Fixtures.SLAB;
import static dev.tessera.kvcache.Fixtures.cache;
import static dev.tessera.kvcache.Fixtures.compute;
import static dev.tessera.kvcache.Fixtures.open;
import static dev.tessera.kvcache.Fixtures.tokens;
import static dev.tessera.kvcache.Fixtures.window;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class KvCacheTest {
  private final List<KvCache> caches = new ArrayList<>();

  private KvCache checked(KvCache cache) {
    caches.add(cache);
    return cache;
  }

  @AfterEach
  void everythingAddsUp() {
    caches.forEach(KvCache::checkIntegrity);
  }

  private static int[] refs(SequenceCache sequence, int group) {
    int[] refs = new int[sequence.table(group).entries()];
    sequence.table(group).copyRefs(BlockRef.EXACT, refs, 0);
    return refs;
  }

  @ParameterizedTest
  @CsvSource({
    "1, 0",
    "63, 0",
    "64, 0",
    "65, 64",
    "127, 64",
    "128, 64",
    "129, 128",
    "200, 192",
    "256, 192",
    "257, 256",
    "400, 256"
  })
  void findsWholeBlocksButNeverTheLastToken(int count, int found) {
    KvCache cache = checked(cache(100, FULL));
    cache.release(compute(cache, tokens(0, 256)));
    int[] prompt = tokens(0, count);
    assertEquals(found, cache.match(new HashChain(cache.root("")), prompt, prompt.length).tokens());
  }

  @Test
  void aHitSharesTheBlocks() {
    KvCache cache = checked(cache(100, FULL));
    SequenceCache first = compute(cache, tokens(0, 200));
    SequenceCache second = compute(cache, tokens(0, 210));
    assertEquals(192, second.cachedTokens());
    assertArrayEquals(Arrays.copyOf(refs(first, 0), 3), Arrays.copyOf(refs(second, 0), 3));
    assertEquals(5 * SLAB, cache.stats().usedBytes());
    cache.release(first);
    assertEquals(4 * SLAB, cache.stats().usedBytes());
    assertEquals(0, cache.stats().cachedBlocks());
    cache.release(second);
    assertEquals(0, cache.stats().usedBytes());
    assertEquals(3, cache.stats().cachedBlocks());
  }

  @Test
  void differentSaltsShareNothing() {
    KvCache cache = checked(cache(100, FULL));
    cache.release(compute(cache, tokens(0, 200)));
    HashChain salted = new HashChain(cache.root("tenant"));
    assertEquals(0, cache.match(salted, tokens(0, 200), 200).tokens());
  }

  @Test
  void differentTokensShareNothing() {
    KvCache cache = checked(cache(100, FULL));
    cache.release(compute(cache, tokens(0, 200)));
    int[] other = tokens(0, 200);
    other[70] = 9999;
    assertEquals(64, cache.match(new HashChain(cache.root("")), other, 200).tokens());
  }

  @Test
  void aHashAloneIsNoHit() {
    KvCache cache = checked(cache(100, FULL));
    cache.release(compute(cache, tokens(0, 200)));
    HashChain forged = new HashChain(cache.root("")).extend(tokens(0, 200), 200);
    int[] other = tokens(1000, 200);
    assertEquals(0, cache.match(forged, other, 200).tokens());
    SequenceCache sequence = cache.open(PrefixMatch.none(forged));
    assertEquals(200, cache.reserve(sequence, 200));
    cache.publish(sequence, other, 200);
    cache.checkIntegrity();
    cache.release(sequence);
    assertEquals(3, cache.stats().cachedBlocks());
  }

  @Test
  void reservesAsMuchAsThereIsRoomFor() {
    KvCache cache = checked(cache(3, FULL));
    SequenceCache sequence = open(cache, tokens(0, 300));
    assertEquals(100, cache.reserve(sequence, 100));
    assertEquals(192, cache.reserve(sequence, 300));
    cache.publish(sequence, tokens(0, 300), 192);
    assertEquals(0, cache.reserve(sequence, 1));
  }

  @Test
  void evictsTheLeastRecentlyUsedDeepestFirst() {
    KvCache cache = checked(cache(6, FULL));
    cache.release(compute(cache, tokens(0, 3 * 64)));
    cache.release(compute(cache, tokens(1000, 3 * 64)));
    compute(cache, tokens(5000, 2 * 64));
    HashChain old = new HashChain(cache.root(""));
    HashChain young = new HashChain(cache.root(""));
    assertEquals(64, cache.match(old, tokens(0, 200), 200).tokens());
    assertEquals(192, cache.match(young, tokens(1000, 200), 200).tokens());
    assertEquals(2, cache.stats().evictedBlocks());
  }

  @Test
  void aHitMakesAPrefixYoung() {
    KvCache cache = checked(cache(6, FULL));
    cache.release(compute(cache, tokens(0, 3 * 64)));
    cache.release(compute(cache, tokens(1000, 3 * 64)));
    cache.release(open(cache, tokens(0, 200)));
    compute(cache, tokens(5000, 3 * 64));
    HashChain chain = new HashChain(cache.root(""));
    assertEquals(192, cache.match(chain, tokens(0, 200), 200).tokens());
    assertEquals(0, cache.match(new HashChain(cache.root("")), tokens(1000, 200), 200).tokens());
  }

  @Test
  void neverEvictsWhatASequenceReferences() {
    KvCache cache = checked(cache(4, FULL));
    SequenceCache first = compute(cache, tokens(0, 3 * 64));
    SequenceCache second = open(cache, tokens(1000, 200));
    assertEquals(64, cache.reserve(second, 200));
    cache.release(first);
    assertEquals(200, cache.reserve(second, 200));
  }

  @Test
  void twoCopiesOfABlockBecomeOneWhenTheyArePublished() {
    KvCache cache = checked(cache(10, FULL));
    SequenceCache first = open(cache, tokens(0, 128));
    SequenceCache second = open(cache, tokens(0, 128));
    cache.reserve(first, 128);
    cache.reserve(second, 128);
    assertEquals(4, cache.stats().usedBlocks());
    cache.publish(first, tokens(0, 128), 128);
    cache.publish(second, tokens(0, 128), 64);
    cache.checkIntegrity();
    assertEquals(3, cache.stats().usedBlocks());
    assertEquals(refs(first, 0)[0], refs(second, 0)[0]);
    cache.publish(second, tokens(0, 128), 128);
    cache.release(first);
    assertEquals(2, cache.stats().usedBlocks());
    assertEquals(0, cache.stats().cachedBlocks());
    cache.release(second);
    assertEquals(2, cache.stats().cachedBlocks());
  }

  @Test
  void whatNoSequenceReferencesCanAlwaysBeEvicted() {
    KvCache cache = checked(cache(4, FULL));
    SequenceCache first = open(cache, tokens(0, 128));
    SequenceCache second = open(cache, tokens(0, 300));
    cache.reserve(first, 128);
    cache.reserve(second, 128);
    cache.publish(first, tokens(0, 128), 128);
    cache.publish(second, tokens(0, 300), 128);
    cache.release(first);
    assertEquals(2 * SLAB, cache.availableBytes());
    assertEquals(128, cache.reserve(second, 128));
    cache.publish(second, tokens(0, 300), 256);
    cache.checkIntegrity();
    cache.release(second);
    cache.evict(4 * SLAB);
    assertEquals(0, cache.stats().cachedBlocks());
  }

  @Test
  void windowGroupsLetGoOfBlocksBehindTheWindow() {
    KvCache cache = checked(cache(100, FULL, window(1, 100, 0)));
    SequenceCache sequence = compute(cache, tokens(0, 400));
    assertEquals(7, sequence.table(0).entries());
    assertEquals(0, sequence.table(0).firstBlock());
    // The next query, at 400, sees the positions from 301 on; they begin in block 4.
    assertEquals(4, sequence.table(1).firstBlock());
    assertEquals(3, sequence.table(1).entries());
    assertEquals(0, sequence.table(1).sinkBlocks());
    assertEquals(10, cache.stats().usedBlocks());
    assertEquals(4, cache.stats().cachedBlocks());
  }

  @Test
  void sinkBlocksStayInFrontOfTheWindow() {
    KvCache cache = checked(cache(100, window(0, 100, 70)));
    SequenceCache sequence = open(cache, tokens(0, 400));
    cache.reserve(sequence, 400);
    int[] all = refs(sequence, 0);
    cache.publish(sequence, tokens(0, 400), 290);
    assertEquals(0, sequence.table(0).sinkBlocks());
    assertEquals(0, sequence.table(0).firstBlock());
    cache.publish(sequence, tokens(0, 400), 400);
    assertEquals(2, sequence.table(0).sinkBlocks());
    assertEquals(4, sequence.table(0).firstBlock());
    assertArrayEquals(new int[] {all[0], all[1], all[4], all[5], all[6]}, refs(sequence, 0));
  }

  @ParameterizedTest
  @CsvSource({"1", "2", "64", "65", "66", "100", "128", "129", "130"})
  void aWindowHoldsNoMoreThanBytesForSays(int window) {
    KvCache cache = checked(cache(100, window(0, window, 0)));
    SequenceCache sequence = open(cache, tokens(0, 1000));
    long most = 0;
    for (int i = 1; i <= 1000; i++) {
      assertEquals(1, cache.reserve(sequence, 1));
      most = Math.max(most, cache.stats().usedBytes());
      cache.publish(sequence, tokens(0, 1000), i);
      int first = Math.max(0, i - window + 1);
      assertEquals(first / 64, sequence.table(0).firstBlock());
    }
    assertEquals(most, cache.bytesFor(1000));
  }

  @Test
  void aHitNeedsTheWindowsBlocksToo() {
    KvCache cache = checked(cache(14, FULL, window(1, 100, 0)));
    cache.release(compute(cache, tokens(0, 6 * 64 + 1)));
    int[] prompt = tokens(0, 500);
    HashChain chain = new HashChain(cache.root(""));
    assertEquals(6 * 64, cache.match(chain, prompt, 500).tokens());
    assertEquals(3 * 64, cache.match(chain, prompt, 3 * 64 + 1).tokens());
    // Two blocks go, beside the two that are free: of the window's blocks, which the sequence left
    // behind before it ended, the deepest, 3 and 2.
    cache.evict(4 * SLAB);
    cache.checkIntegrity();
    assertEquals(6 * 64, cache.match(chain, prompt, 500).tokens());
    assertEquals(2 * 64, cache.match(chain, prompt, 3 * 64 + 1).tokens());
    SequenceCache resumed = cache.open(cache.match(chain, prompt, 500));
    assertEquals(4, resumed.table(1).firstBlock());
    assertEquals(2, resumed.table(1).entries());
  }

  @Test
  void aTailKeepsAPrefixUsableForWindows() {
    KvCache cache = checked(cache(40, FULL, window(1, 100, 0)));
    int[] prompt = tokens(0, 4 * 64);
    SequenceCache sequence = compute(cache, prompt);
    cache.keepTail(sequence);
    cache.checkIntegrity();
    int[] longer = tokens(0, 10 * 64);
    cache.reserve(sequence, 6 * 64);
    cache.publish(sequence, longer, 10 * 64);
    cache.checkIntegrity();
    // All window blocks behind the tail and behind the live window go; the tail stays.
    cache.evict(40 * SLAB - cache.stats().usedBytes() - 2 * SLAB);
    cache.checkIntegrity();
    int[] other = Arrays.copyOf(prompt, 300);
    HashChain chain = new HashChain(cache.root(""));
    assertEquals(4 * 64, cache.match(chain, other, 300).tokens());
    cache.evict(40 * SLAB);
    cache.checkIntegrity();
    assertEquals(0, cache.match(chain, other, 300).tokens());
    assertEquals(cache.stats().usedBytes(), 40 * SLAB - cache.availableBytes());
    assertEquals(0, cache.stats().cachedBlocks());
  }

  @Test
  void saysWhatASequenceWouldTake() {
    KvCache cache = checked(cache(20, FULL, window(1, 100, 0)));
    assertEquals(2 * SLAB, cache.bytesFor(64));
    assertEquals(4 * SLAB, cache.bytesFor(65));
    assertEquals((10 + 3) * SLAB, cache.bytesFor(640));
    assertEquals(17 * 64, cache.capacityTokens(100_000));
    assertEquals(17 * 64, cache.capacityTokens(Integer.MAX_VALUE));
    int[] prompt = tokens(0, 5 * 64);
    HashChain chain = new HashChain(cache.root(""));
    assertEquals((5 + 3) * SLAB, cache.bytesToOpen(cache.match(chain, prompt, 320), 320));
    SequenceCache first = compute(cache, prompt);
    PrefixMatch match = cache.match(chain, prompt, 320);
    assertEquals(256, match.tokens());
    // One new block in each group, and a window block that the live sequence has left behind.
    assertEquals(3 * SLAB, cache.bytesToOpen(match, 320));
    cache.release(first);
    assertEquals((4 + 2 + 2) * SLAB, cache.bytesToOpen(match, 320));
    SequenceCache second = cache.open(match);
    assertEquals(2 * SLAB, cache.bytesMissing(second, 320));
  }

  @Test
  void givesMemoryBack() {
    List<String> discards = new ArrayList<>();
    KvCache cache = checked(cache(4, (g, f, s) -> discards.add(g + "/" + f + "/" + s), FULL));
    SequenceCache sequence = open(cache, tokens(0, 100));
    cache.reserve(sequence, 100);
    cache.release(sequence);
    assertEquals(List.of(), discards);
    cache.trim();
    assertEquals(List.of("0/0/1", "0/0/0"), discards);
  }

  @Test
  void refusesMisuse() {
    KvCache cache = checked(cache(4, FULL));
    SequenceCache sequence = open(cache, tokens(0, 100));
    cache.reserve(sequence, 10);
    assertThrows(IllegalArgumentException.class, () -> cache.publish(sequence, tokens(0, 100), 65));
    cache.publish(sequence, tokens(0, 100), 10);
    assertThrows(IllegalArgumentException.class, () -> cache.publish(sequence, tokens(0, 100), 9));
    cache.release(sequence);
    assertThrows(IllegalStateException.class, () -> cache.release(sequence));
    assertThrows(IllegalStateException.class, () -> cache.reserve(sequence, 1));
  }
}
