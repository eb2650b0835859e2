package dev.tessera.kvcache;

import static dev.tessera.kvcache.Fixtures.FULL;
import static dev.tessera.kvcache.Fixtures.SLAB;
import static dev.tessera.kvcache.Fixtures.tokens;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// The life of blocks that cool.
final class CoolingCacheTest {
  private static final String LADDER = "exact:first=64,last=128;k=p4,p2@256;v=p3";

  private final List<KvCache> caches = new ArrayList<>();

  private KvCache cache(int slabs, String policy) {
    return cache(slabs * SLAB, policy);
  }

  private KvCache cache(long bytes, String policy) {
    KvCache cache = Fixtures.cache(bytes, policy(policy), (group, form, slab) -> {}, FULL);
    caches.add(cache);
    return cache;
  }

  private static KvPolicy policy(String text) {
    return ((PolicySetting.Fixed) KvPolicyParser.parse(text)).policy();
  }

  @AfterEach
  void everythingAddsUp() {
    caches.forEach(KvCache::checkIntegrity);
  }

  private static SequenceCache open(KvCache cache, int[] tokens) {
    return cache.open(cache.match(new HashChain(cache.root("")), tokens, tokens.length));
  }

  private static int found(KvCache cache, int[] tokens) {
    return cache.match(new HashChain(cache.root("")), tokens, tokens.length).tokens();
  }

  /// Computes up to `end` tokens in steps of `chunk`. Returns the coolings in words.
  private static List<String> compute(
      KvCache cache, SequenceCache sequence, int[] tokens, int end, int chunk) {
    List<String> coolings = new ArrayList<>();
    while (sequence.computedTokens() < end) {
      int wanted = Math.min(chunk, end - sequence.computedTokens());
      int granted = cache.reserve(sequence, wanted);
      assertTrue(granted > 0, "no room at " + sequence.computedTokens());
      cache.takeCoolings().stream()
          .map(c -> "%d:%d>%d".formatted(c.block(), BlockRef.form(c.from()), BlockRef.form(c.to())))
          .forEach(coolings::add);
      cache.publish(sequence, tokens, sequence.computedTokens() + granted);
      cache.checkIntegrity();
    }
    return coolings;
  }

  private static String forms(SequenceCache sequence) {
    BlockTable table = sequence.table(0);
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < table.end(); i++) {
      text.append(i > 0 ? " " : "");
      for (int form = 0; form <= table.cooledForms(); form++) {
        text.append(table.shows(i, form) ? Integer.toString(form) : "");
      }
    }
    return text.toString();
  }

  @Test
  void blocksCoolAsTheQueriesMoveOn() {
    KvCache cache = cache(100, LADDER);
    int[] tokens = tokens(0, 700);
    SequenceCache sequence = open(cache, tokens);
    assertEquals(List.of(), compute(cache, sequence, tokens, 256, 64));
    assertEquals("0 0 0 0", forms(sequence));
    // Queries in block 4 are the first that lie more than two blocks behind block 1.
    assertEquals(List.of("1:0>1"), compute(cache, sequence, tokens, 257, 64));
    assertEquals("0 1 0 0 0", forms(sequence));
    assertEquals(List.of("2:0>1"), compute(cache, sequence, tokens, 384, 64));
    dropCopies(cache);
    assertEquals(List.of("1:1>2", "3:0>1"), compute(cache, sequence, tokens, 385, 64));
    assertEquals("0 2 1 1 0 0 0", forms(sequence));
  }

  @Test
  void insideAChunkABlockExistsInEveryFormThatIsRead() {
    KvCache cache = cache(100, LADDER);
    int[] tokens = tokens(0, 700);
    SequenceCache sequence = open(cache, tokens);
    assertEquals(640, cache.reserve(sequence, 640));
    assertEquals("0 012 012 012 012 01 01 0 0 0", forms(sequence));
    List<Cooling> coolings = cache.takeCoolings();
    assertEquals(10, coolings.size());
    assertTrue(coolings.stream().allMatch(c -> BlockRef.form(c.from()) == BlockRef.EXACT));
    cache.publish(sequence, tokens, 640);
    assertEquals("0 2 2 2 2 1 1 0 0 0", forms(sequence));
    assertEquals("0 2 2 2 2 1 1 0 0 0", forms(sequence));
  }

  @ParameterizedTest
  @CsvSource({"1", "17", "64", "100", "1000"})
  void theFormsDoNotDependOnTheChunks(int chunk) {
    KvCache cache = cache(200, LADDER);
    int[] tokens = tokens(0, 1000);
    SequenceCache sequence = open(cache, tokens);
    List<String> coolings = compute(cache, sequence, tokens, 1000, chunk);
    assertEquals(12 + 10, coolings.size());
    assertEquals("0 2 2 2 2 2 2 2 2 2 2 1 1 0 0 0", forms(sequence));
  }

  @Test
  void aHitNeedsTheExactTail() {
    KvCache cache = cache(100, LADDER);
    int[] tokens = tokens(0, 700);
    SequenceCache sequence = open(cache, tokens);
    compute(cache, sequence, tokens, 640, 64);
    cache.release(sequence);
    assertEquals(640, found(cache, tokens));
    // Copies that no query reads stay until their memory is wanted.
    assertEquals(320, found(cache, tokens(0, 321)));
    cache.evict(100 * SLAB - cache.stats().cachedBytes() + 1);
    cache.checkIntegrity();
    dropCopies(cache);
    assertEquals(640, found(cache, tokens));
    // Behind the first block, which never cools.
    assertEquals(64, found(cache, tokens(0, 321)));
    SequenceCache resumed = open(cache, tokens);
    assertEquals("0 2 2 2 2 1 1 0 0 0", forms(resumed));
    compute(cache, resumed, tokens, 700, 64);
    assertEquals("0 2 2 2 2 2 1 1 0 0 0", forms(resumed));
  }

  /// Evicts while what goes is only copies, so that nothing is left that no tail and no rule wants.
  private static void dropCopies(KvCache cache) {
    long blocks = cache.stats().evictedBlocks();
    int cached = cache.stats().cachedBlocks();
    while (cache.stats().copyBytes() > 0) {
      long free = cache.stats().budgetBytes() - cache.stats().usedBytes();
      cache.evict(free - cache.stats().cachedBytes() + 1);
    }
    assertEquals(blocks, cache.stats().evictedBlocks());
    assertEquals(cached, cache.stats().cachedBlocks());
  }

  @Test
  void aTailKeepsTheFormsThatItsBorderNeeds() {
    KvCache cache = cache(100, LADDER);
    int[] tokens = tokens(0, 1000);
    SequenceCache sequence = open(cache, tokens);
    compute(cache, sequence, tokens, 450, 450); // the end of a prompt
    cache.keepTail(sequence);
    compute(cache, sequence, tokens, 1000, 64);
    dropCopies(cache);
    assertEquals(448, found(cache, tokens(0, 450)));
    assertEquals(448, found(cache, tokens(0, 520)));
    assertEquals(64, found(cache, tokens(0, 400)));
    SequenceCache again = open(cache, tokens(0, 450));
    assertEquals("0 2 2 1 1 0 0", forms(again));
    compute(cache, again, tokens, 600, 64);
    cache.release(again);
    cache.release(sequence);
  }

  @Test
  void aBranchSeenBeforeIsABorder() {
    KvCache cache = cache(100, LADDER);
    int[] first = tokens(0, 1000);
    int[] second = first.clone();
    Arrays.setAll(second, i -> i < 500 ? first[i] : 5000 + i);
    int[] third = first.clone();
    Arrays.setAll(third, i -> i < 470 ? first[i] : 9000 + i);
    SequenceCache one = open(cache, first);
    compute(cache, one, first, 1000, 128);
    dropCopies(cache);
    assertEquals(64, found(cache, second));
    SequenceCache two = open(cache, second);
    compute(cache, two, second, 1000, 200);
    dropCopies(cache);
    // Both share blocks 0 to 6, and the exact ones before the border stayed.
    assertEquals(448, found(cache, third));
    assertEquals(448, open(cache, third).cachedTokens());
  }

  @Test
  void tailsGiveWayWhenTheirShareIsUsedUp() {
    KvCache cache =
        new KvCache(
            new KvGeometry(List.of(FULL), 1, 1, 8),
            Fixtures.forms(policy(LADDER), new KvGeometry(List.of(FULL), 1, 1, 8)),
            policy(LADDER),
            new MemoryBudget(200 * SLAB, 5 * SLAB),
            new byte[0],
            (group, form, slab) -> {});
    caches.add(cache);
    int[] tokens = tokens(0, 4_000);
    SequenceCache sequence = open(cache, tokens);
    for (int end = 640; end <= 3_840; end += 640) {
      compute(cache, sequence, tokens, end, 64);
      cache.keepTail(sequence);
    }
    dropCopies(cache);
    assertTrue(cache.stats().tailBytes() <= 5 * SLAB);
    assertEquals(64, found(cache, tokens(0, 641)));
    assertEquals(3_200, found(cache, tokens(0, 3_201)));
    assertEquals(3_840, found(cache, tokens(0, 3_841)));
  }

  @Test
  void aBlockThatTwoHaveComputedIsOne() {
    KvCache cache = cache(100, LADDER);
    int[] tokens = tokens(0, 640);
    SequenceCache first = open(cache, tokens);
    SequenceCache second = open(cache, tokens);
    compute(cache, first, tokens, 640, 128);
    long alone = cache.stats().usedBytes();
    compute(cache, second, tokens, 300, 128);
    compute(cache, second, tokens, 640, 128);
    assertEquals(alone, cache.stats().usedBytes());
    cache.release(first);
    assertEquals(alone, cache.stats().usedBytes());
  }

  @Test
  void whatWasReservedAndNeverFilledIsForgotten() {
    KvCache cache = cache(100, LADDER);
    int[] tokens = tokens(0, 640);
    SequenceCache first = open(cache, tokens);
    compute(cache, first, tokens, 256, 64);
    SequenceCache second = open(cache, tokens(0, 257));
    assertEquals(256, second.cachedTokens());
    cache.reserve(first, 64);
    cache.reserve(second, 1);
    cache.release(first);
    cache.checkIntegrity();
    assertEquals(1, cache.takeCoolings().size());
    cache.publish(second, tokens(0, 257), 257);
    SequenceCache third = open(cache, tokens);
    cache.reserve(third, 64);
    assertEquals(0, cache.takeCoolings().size());
    cache.release(third);
    cache.release(second);
    SequenceCache fourth = open(cache, tokens(0, 320));
    cache.reserve(fourth, 64);
    assertThrows(
        IllegalStateException.class,
        () -> {
          cache.reserve(fourth, 300);
          cache.publish(fourth, tokens, 320);
        });
    cache.release(fourth);
    assertEquals(0, cache.takeCoolings().size());
  }

  @Test
  void anotherPolicyHasOtherHashes() {
    assertTrue(!cache(10, LADDER).root("").equals(cache(10, "exact").root("")));
    assertTrue(!cache(10, LADDER).root("").equals(cache(10, LADDER + ";layers.0.v=p2").root("")));
  }

  /// Whatever the chunks, and with nothing to spare: a sequence that fits alone can be finished.
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8})
  void whatFitsAloneCanBeFinished(int seed) {
    Random random = new Random(seed);
    String text = Policies.randomText(random, 1, true);
    for (int blocks = 1; blocks < 30; blocks++) {
      int length = 64 * blocks - random.nextInt(64);
      long bytes = cache(1_000, text).bytesFor(length);
      KvCache cache = cache(bytes, text);
      assertTrue(cache.capacityTokens(100_000) >= length);
      // What others left behind has to go first.
      SequenceCache other = open(cache, tokens(50_000, length));
      compute(cache, other, tokens(50_000, length), 1 + random.nextInt(length), 64);
      cache.keepTail(other);
      cache.release(other);
      int[] tokens = tokens(0, length);
      SequenceCache sequence = open(cache, tokens);
      compute(cache, sequence, tokens, length, 1 + random.nextInt(500));
      cache.release(sequence);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 6})
  void bytesForIsWhatIsUsed(int seed) {
    String text = Policies.randomText(new Random(seed), 1, true);
    KvCache cache = cache(1_000, text);
    int[] tokens = tokens(0, 2_000);
    SequenceCache sequence = open(cache, tokens);
    long most = 0;
    for (int end = 1; end <= 2_000; end++) {
      long missing = cache.bytesMissing(sequence, end);
      long before = cache.stats().usedBytes();
      cache.reserve(sequence, 1);
      most = Math.max(most, cache.stats().usedBytes());
      assertEquals(before + missing, cache.stats().usedBytes(), text + " at " + end);
      assertEquals(cache.bytesFor(end), most, text + " at " + end);
      cache.takeCoolings();
      cache.publish(sequence, tokens, end);
    }
  }
}
