package dev.tessera.kvcache;

import static dev.tessera.kvcache.Fixtures.FULL;
import static dev.tessera.kvcache.Fixtures.SLAB;
import static dev.tessera.kvcache.Fixtures.tokens;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The life of blocks whose cooling is a matter of heat and pressure.
final class HeatCoolerTest {
  private static final String ONE_RUNG = "temperature:exact:first=64,last=128;k=p4;v=p3";
  private static final String LADDER = "temperature:exact:first=64,last=128;k=p4,p2@256;v=p3";

  private final List<KvCache> caches = new ArrayList<>();

  private KvCache cache(long bytes, String policy) {
    KvPolicy parsed = ((PolicySetting.Fixed) KvPolicyParser.parse(policy)).policy();
    KvCache cache = Fixtures.cache(bytes, parsed, (group, form, slab) -> {}, FULL);
    caches.add(cache);
    return cache;
  }

  @AfterEach
  void everythingAddsUp() {
    caches.forEach(KvCache::checkIntegrity);
  }

  private static SequenceCache open(KvCache cache, int[] tokens) {
    return cache.open(cache.match(new HashChain(cache.root("")), tokens, tokens.length));
  }

  /// A step of one sequence, which may get no token. Returns how many it got.
  private static int step(KvCache cache, SequenceCache sequence, int[] tokens, int wanted) {
    int granted = cache.reserve(sequence, wanted);
    assertTrue(granted > 0 || cache.makesRoom(), "no room at " + sequence.computedTokens());
    List<Cooling> ignored = cache.takeCoolings();
    cache.endStep();
    cache.publish(sequence, tokens, sequence.computedTokens() + granted);
    cache.checkIntegrity();
    return granted;
  }

  private static void compute(
      KvCache cache, SequenceCache sequence, int[] tokens, int end, int chunk) {
    for (int steps = 0; sequence.computedTokens() < end; steps++) {
      assertTrue(steps < 10_000, "never done");
      step(cache, sequence, tokens, Math.min(chunk, end - sequence.computedTokens()));
    }
  }

  /// Steps in which nothing is computed.
  private static void idle(KvCache cache, int steps) {
    for (int i = 0; i < steps; i++) {
      List<Cooling> ignored = cache.takeCoolings();
      cache.endStep();
    }
  }

  private static String forms(SequenceCache sequence) {
    BlockTable table = sequence.table(0);
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < table.end(); i++) {
      text.append(table.readForm(i));
    }
    return text.toString();
  }

  /// Attention, the same for every block but one.
  private static float[] shares(SequenceCache sequence, float others, int block, float share) {
    float[] shares = new float[sequence.table(0).end()];
    Arrays.fill(shares, others);
    shares[block] = share;
    return shares;
  }

  @Test
  void nothingCoolsWhileThereIsRoom() {
    KvCache cache = cache(100 * SLAB, LADDER);
    int[] tokens = tokens(0, 64 * 60);
    SequenceCache sequence = open(cache, tokens);
    compute(cache, sequence, tokens, tokens.length, 100);
    assertEquals("0".repeat(60), forms(sequence));
    assertEquals(0, cache.stats().coolings());
  }

  @ParameterizedTest
  @CsvSource({"1", "17", "64", "100", "1000"})
  void whatFitsAloneIsFinishedAlone(int chunk) {
    for (String policy : List.of(ONE_RUNG, LADDER)) {
      int[] tokens = tokens(0, 1_300);
      KvCache cache = cache(cache(100 * SLAB, policy).bytesFor(tokens.length), policy);
      SequenceCache sequence = open(cache, tokens);
      compute(cache, sequence, tokens, tokens.length, chunk);
      assertTrue(forms(sequence).startsWith("0"), forms(sequence));
      assertTrue(forms(sequence).endsWith("000"), forms(sequence));
    }
  }

  @Test
  void theColdCoolFirstAndTheHotStay() {
    KvCache cache = cache(20 * SLAB, ONE_RUNG);
    int[] tokens = tokens(0, 64 * 18);
    SequenceCache sequence = open(cache, tokens);
    compute(cache, sequence, tokens, 64 * 13, 64);
    for (int i = 0; i < 5; i++) {
      cache.noteMass(sequence, 0, shares(sequence, 0.01f, 2, 0.9f));
    }
    idle(cache, 40);
    compute(cache, sequence, tokens, 64 * 18, 1);
    String forms = forms(sequence);
    assertTrue(forms.startsWith("0101"), forms);
    assertTrue(forms.endsWith("00"), forms);
  }

  @Test
  void aBlockStaysInItsFormForAWhile() {
    KvCache cache = cache(12 * SLAB, LADDER);
    int[] tokens = tokens(0, 64 * 11);
    SequenceCache sequence = open(cache, tokens);
    compute(cache, sequence, tokens, 64 * 10 + 30, 64);
    // Memory is short, but nobody waits for any.
    idle(cache, 31);
    assertFalse(forms(sequence).contains("2"), forms(sequence));
  }

  @Test
  void allTablesThatShowABlockMoveTogether() {
    KvCache cache = cache(14 * SLAB, ONE_RUNG);
    int[] tokens = tokens(0, 64 * 12);
    SequenceCache first = open(cache, tokens);
    compute(cache, first, tokens, 64 * 5, 64);
    SequenceCache young = open(cache, Arrays.copyOf(tokens, 64 * 4));
    assertEquals(64 * 3, young.computedTokens());
    compute(cache, first, tokens, 64 * 12, 64);
    idle(cache, 40);
    // Block 1 is too young for the second sequence, whose next query lies in block 3.
    assertEquals("000", forms(young).substring(0, 3));
    assertEquals("000", forms(first).substring(0, 3));
    assertTrue(forms(first).contains("1"), forms(first));
    cache.release(young);
    idle(cache, 40);
    compute(cache, first, tokens, 64 * 12, 1);
  }

  @Test
  void aBlockThatBecomesHotGoesBackToItsExactCopy() {
    KvCache cache = cache(20 * SLAB, ONE_RUNG);
    int[] tokens = tokens(0, 64 * 15);
    SequenceCache sequence = open(cache, tokens);
    int[] others = tokens(10_000, 64 * 8);
    SequenceCache other = open(cache, others);
    compute(cache, other, others, others.length, 64);
    compute(cache, sequence, tokens, 64 * 10, 64);
    idle(cache, 40);
    int cold = forms(sequence).indexOf('1');
    assertTrue(cold > 0, forms(sequence));
    cache.release(other);
    idle(cache, 200);
    assertEquals('1', forms(sequence).charAt(cold), "it is not hot yet");
    StringBuilder expected = new StringBuilder(forms(sequence));
    expected.setCharAt(cold, '0');
    cache.noteMass(sequence, 0, shares(sequence, 0, cold, 5));
    idle(cache, 32);
    assertEquals(expected.toString(), forms(sequence));
  }

  @Test
  void exactCopiesThatAreKeptGoLast() {
    KvPolicy policy = ((PolicySetting.Fixed) KvPolicyParser.parse(ONE_RUNG)).policy();
    Set<BlockHash> kept = new HashSet<>();
    KvGeometry geometry = Fixtures.geometry(FULL);
    KvCache cache =
        new KvCache(
            geometry,
            Fixtures.forms(policy, geometry),
            policy,
            new MemoryBudget(20 * SLAB),
            new byte[] {1, 2, 3},
            (group, form, slab) -> {},
            null,
            new CopyKeeper() {
              @Override
              public void asked(BlockHash block) {}

              @Override
              public boolean keeps(BlockHash block) {
                return kept.contains(block);
              }
            });
    caches.add(cache);
    int[] tokens = tokens(0, 64 * 15);
    SequenceCache sequence = open(cache, tokens);
    compute(cache, sequence, tokens, tokens.length, 64);
    idle(cache, 40);
    HashChain chain = new HashChain(cache.root("")).extend(tokens, tokens.length);
    int first = forms(sequence).indexOf('1');
    int last = forms(sequence).lastIndexOf('1');
    assertTrue(last > first, forms(sequence));
    kept.add(chain.get(first));
    // The first cooled block would be the first to lose its copy.
    long copies = cache.stats().copyBytes();
    assertTrue(copies >= 2 * SLAB, "no copies");
    cache.evict(20 * SLAB - cache.stats().usedBytes() - SLAB);
    assertEquals(SLAB, cache.stats().copyBytes());
    Block block = sequence.table(0).present(first);
    assertTrue(block.has(BlockRef.EXACT), "its copy is gone");
  }

  @Test
  void aPrefixIsFoundInAnyFormThatIsOldEnough() {
    KvCache cache = cache(16 * SLAB, ONE_RUNG);
    int[] tokens = tokens(0, 64 * 14 + 1);
    SequenceCache sequence = open(cache, tokens);
    compute(cache, sequence, tokens, tokens.length, 64);
    idle(cache, 40);
    assertTrue(forms(sequence).contains("1"), forms(sequence));
    cache.keepTail(sequence);
    cache.release(sequence);
    SequenceCache again = open(cache, tokens);
    assertTrue(again.computedTokens() >= 64 * 12, "found " + again.computedTokens());
    for (int i = 0; i < again.computedTokens() / 64; i++) {
      boolean mayCool = i >= 1 && again.computedTokens() / 64 - i > 2;
      assertTrue(mayCool || forms(again).charAt(i) == '0', forms(again));
    }
  }
}
