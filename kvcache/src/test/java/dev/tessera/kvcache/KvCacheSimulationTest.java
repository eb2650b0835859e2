package dev.tessera.kvcache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kvcache.testing.ForgetfulTier;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Random sequences over shared prefixes in a cache that is too small, with what is written in each
/// slab on record: whatever a query reads, in the form in which the rule says that it reads it,
/// must be what its sequence's own tokens would have made.
final class KvCacheSimulationTest {
  private static final int STEPS = 3_000;

  /// @param slabs of the budget, in exact slabs
  /// @param policy its text
  /// @param tier slabs that the tier below holds; 0 for none
  record World(long seed, int slabs, String policy, int tier, LayerGroup... groups) {
    World(long seed, int slabs, String policy, LayerGroup... groups) {
      this(seed, slabs, policy, 0, groups);
    }

    @Override
    public String toString() {
      return "seed %d, %d slabs, %s, %d groups, %d slabs below"
          .formatted(seed, slabs, policy, groups.length, tier);
    }
  }

  static Stream<World> worlds() {
    LayerGroup full = Fixtures.FULL;
    Stream.Builder<World> worlds = Stream.builder();
    worlds.add(new World(1, 9, "exact", full));
    worlds.add(new World(2, 40, "exact", full));
    worlds.add(new World(3, 24, "exact", full, Fixtures.window(1, 100, 0)));
    worlds.add(
        new World(
            4, 24, "exact", Fixtures.window(0, 130, 65), new LayerGroup(1, List.of(1), 0, 0)));
    worlds.add(new World(5, 12, "exact", Fixtures.window(0, 64, 0)));
    worlds.add(
        new World(6, 50, "exact", full, Fixtures.window(1, 1, 1), Fixtures.window(2, 200, 0)));
    Random random = new Random(7);
    for (int seed = 10; seed < 22; seed++) {
      worlds.add(
          new World(seed, 13 + random.nextInt(20), Policies.randomText(random, 1, true), full));
    }
    for (int seed = 30; seed < 36; seed++) {
      worlds.add(
          new World(
              seed,
              20 + random.nextInt(30),
              Policies.randomText(random, 3, false),
              full,
              Fixtures.window(1, 100, 0),
              new LayerGroup(2, List.of(2), 0, 0)));
    }
    for (int seed = 70; seed < 82; seed++) {
      worlds.add(
          new World(
              seed,
              9 + random.nextInt(20),
              "temperature:" + Policies.randomText(random, 1, true),
              seed % 3 == 0 ? 1_000 : 0,
              full));
    }
    for (int seed = 90; seed < 94; seed++) {
      worlds.add(
          new World(
              seed,
              20 + random.nextInt(30),
              "temperature:" + Policies.randomText(random, 3, false),
              full,
              Fixtures.window(1, 100, 0),
              new LayerGroup(2, List.of(2), 0, 0)));
    }
    worlds.add(new World(40, 12, "exact", 500, full));
    worlds.add(new World(41, 12, "exact", 30, full));
    worlds.add(new World(42, 24, "exact", 500, full, Fixtures.window(1, 100, 0)));
    worlds.add(
        new World(
            43,
            24,
            "exact",
            500,
            Fixtures.window(0, 130, 65),
            new LayerGroup(1, List.of(1), 0, 0)));
    for (int seed = 50; seed < 58; seed++) {
      worlds.add(
          new World(
              seed, 13 + random.nextInt(20), Policies.randomText(random, 1, true), 1_000, full));
    }
    for (int seed = 60; seed < 63; seed++) {
      worlds.add(
          new World(
              seed,
              20 + random.nextInt(30),
              Policies.randomText(random, 3, false),
              1_000,
              full,
              Fixtures.window(1, 100, 0),
              new LayerGroup(2, List.of(2), 0, 0)));
    }
    return worlds.build();
  }

  private static final class Live {
    final SequenceCache cache;
    final int[] tokens;
    final long[] written; // [tokens], what a slot's bytes depend on: all tokens up to it

    Live(SequenceCache cache, int[] tokens) {
      this.cache = cache;
      this.tokens = tokens;
      this.written = new long[tokens.length];
      long hash = 17;
      for (int i = 0; i < tokens.length; i++) {
        hash = hash * 0x9E3779B97F4A7C15L + tokens[i] + 1;
        written[i] = hash;
      }
    }

    int left() {
      return tokens.length - cache.computedTokens();
    }
  }

  private final Map<Long, long[]> memory = new HashMap<>(); // group, form and slab -> [64]
  private final List<Live> live = new ArrayList<>();
  private World world;
  private KvPolicy policy;
  private CoolingRule rule;
  private KvCache cache;
  private Random random;
  private int hits;
  private int refusals;
  private int coolings;
  private int roomMade;
  private ForgetfulTier tier;
  private final Map<Recall, Live> recalls = new HashMap<>(); // on their way, and for what
  private int recalledTokens;

  /// The bytes of a slab are but a number under which their content is on record.
  private final SlabTransfer transfer =
      new SlabTransfer() {
        private final List<long[]> contents = new ArrayList<>();

        @Override
        public void readSlab(int group, int form, int slab, MemorySegment bytes) {
          bytes.set(ValueLayout.JAVA_INT_UNALIGNED, 0, contents.size());
          contents.add(memory.get(key(group, BlockRef.of(form, slab))).clone());
        }

        @Override
        public void writeSlab(int group, int form, int slab, MemorySegment bytes) {
          long[] content = contents.get(bytes.get(ValueLayout.JAVA_INT_UNALIGNED, 0));
          memory.put(key(group, BlockRef.of(form, slab)), content.clone());
        }
      };

  @ParameterizedTest(name = "{0}")
  @MethodSource("worlds")
  void everyQueryReadsItsOwnTokensInTheRightForm(World world) {
    this.world = world;
    policy = ((PolicySetting.Fixed) KvPolicyParser.parse(world.policy())).policy();
    rule = policy.rule();
    long budget = world.slabs() * Fixtures.SLAB;
    random = new Random(world.seed());
    tier = new ForgetfulTier(new Random(world.seed()), world.tier());
    KvGeometry geometry = Fixtures.geometry(world.groups());
    cache =
        new KvCache(
            geometry,
            Fixtures.forms(policy, geometry),
            policy,
            new MemoryBudget(budget),
            new byte[] {1, 2, 3},
            (g, form, slab) -> memory.remove(key(g, BlockRef.of(form, slab))),
            world.tier() == 0 ? null : new TierBelow(tier, transfer, 3 * Fixtures.SLAB),
            policy.byTemperature() ? keeper() : CopyKeeper.NONE);
    for (int step = 0; step < STEPS; step++) {
      int action = random.nextInt(10);
      if (live.isEmpty() || action < 2 && live.size() < 6) {
        open();
      } else if (action < 8) {
        step();
      } else if (action == 8) {
        end();
      } else if (random.nextInt(50) == 0) {
        cache.evict(random.nextInt(world.slabs() + 1) * Fixtures.SLAB);
        cache.trim();
      }
      moveRecallsOn();
      cache.checkIntegrity();
    }
    if (world.tier() > 0) {
      String summary = recalledTokens + " tokens; " + tier.stats();
      assertTrue(recalledTokens > 64 * 20, summary);
      assertTrue(tier.stats().lost() > 0, summary);
    }
    assertTrue(hits > STEPS / 150, "only " + hits + " hits");
    assertTrue(refusals > 0 || world.slabs() >= 30, "memory was never short");
    FormPlan plan = FormPlan.of(policy, Fixtures.geometry(world.groups()));
    boolean cools = Stream.of(world.groups()).anyMatch(plan::cools);
    assertTrue(
        roomMade > 0 || !cools || !policy.byTemperature() || world.slabs() >= 20,
        "nobody waited for room");
    assertTrue(coolings > 100 || !cools, "only " + coolings + " coolings");
    live.forEach(one -> cache.release(one.cache));
    cache.checkIntegrity();
    assertEquals(0, cache.stats().usedBytes());
    cache.evict(budget);
    cache.checkIntegrity();
    assertEquals(0, cache.stats().cachedBytes());
  }

  /// Keeps every third copy.
  private static CopyKeeper keeper() {
    return new CopyKeeper() {
      @Override
      public void asked(BlockHash block) {}

      @Override
      public boolean keeps(BlockHash block) {
        return block.hashCode() % 3 == 0;
      }
    };
  }

  private void open() {
    open(randomTokens());
  }

  /// Now and then a prefix is sent for; its sequence begins when it has come, or has not.
  private void moveRecallsOn() {
    if (world.tier() > 0 && random.nextInt(4) == 0 && recalls.size() < 3) {
      int[] tokens = randomTokens();
      Recall.Worth worth =
          (nanos, from, to) -> {
            assertTrue(from < to && to < tokens.length, from + " to " + to);
            boolean onlyThis = recalls.isEmpty();
            assertTrue(!onlyThis || nanos <= cache.stats().budgetBytes(), "others still count");
            return random.nextInt(10) > 0;
          };
      Recall recall = cache.recall(new HashChain(cache.root("")), tokens, tokens.length, worth);
      if (recall != null) {
        recalls.put(recall, new Live(null, tokens));
      }
    }
    tier.work(random.nextInt(6));
    for (Recall recall : List.copyOf(recalls.keySet())) {
      int[] tokens = recalls.get(recall).tokens;
      HashChain chain = new HashChain(cache.root(""));
      int before = cache.match(chain, tokens, tokens.length).tokens();
      boolean more = random.nextInt(40) > 0 && cache.advance(recall);
      recalledTokens += Math.max(0, cache.match(chain, tokens, tokens.length).tokens() - before);
      if (!more) {
        cache.abandon(recall);
        recalls.remove(recall);
        open(tokens);
      }
      cache.checkIntegrity();
    }
  }

  private void open(int[] tokens) {
    PrefixMatch match =
        cache.match(new HashChain(cache.root("")), tokens, 1 + random.nextInt(tokens.length));
    long expected = cache.availableBytes() - cache.bytesToOpen(match, match.tokens());
    live.add(new Live(cache.open(match), tokens));
    assertEquals(expected, cache.availableBytes());
    hits += match.tokens() > 0 ? 1 : 0;
  }

  private void end() {
    Live one = live.remove(random.nextInt(live.size()));
    if (random.nextBoolean()) {
      cache.keepTail(one.cache);
    }
    cache.release(one.cache);
  }

  /// One step of a few sequences, some of which lose their blocks before it begins.
  private void step() {
    Map<Live, Integer> granted = new HashMap<>();
    boolean refused = false;
    for (int i = random.nextInt(3); i >= 0 && !live.isEmpty(); i--) {
      Live one = live.get(random.nextInt(live.size()));
      int wanted = Math.min(one.left(), 1 + random.nextInt(random.nextInt(4) == 0 ? 700 : 150));
      if (wanted > 0 && !granted.containsKey(one)) {
        int tokens = cache.reserve(one.cache, wanted);
        assertTrue(tokens <= wanted && tokens >= 0);
        refusals += tokens < wanted ? 1 : 0;
        boolean waits = tokens == 0 && cache.makesRoom();
        roomMade += waits ? 1 : 0;
        refused |= tokens == 0 && !waits;
        granted.put(one, tokens);
      }
      cache.checkIntegrity();
      if (random.nextInt(12) == 0) {
        Live victim = live.remove(random.nextInt(live.size()));
        cache.release(victim.cache);
        granted.remove(victim);
        cache.checkIntegrity();
      }
    }
    granted.forEach(this::write);
    for (Cooling cooling : cache.takeCoolings()) {
      assertTrue(BlockRef.form(cooling.from()) < BlockRef.form(cooling.to()));
      long[] from = memory.get(key(cooling.group(), cooling.from()));
      memory.put(key(cooling.group(), cooling.to()), from.clone());
      coolings++;
    }
    granted.forEach(this::read);
    cache.checkIntegrity();
    cache.endStep();
    if (policy.byTemperature() && random.nextInt(3) == 0) {
      granted.keySet().forEach(this::noteMass);
    }
    granted.forEach(
        (one, tokens) -> {
          cache.publish(one.cache, one.tokens, one.cache.computedTokens() + tokens);
          if (random.nextInt(6) == 0) {
            cache.keepTail(one.cache);
          }
          cache.checkIntegrity();
        });
    if (refused && !live.isEmpty()) {
      cache.release(live.remove(random.nextInt(live.size())).cache);
    }
  }

  private void write(Live one, int tokens) {
    int computed = one.cache.computedTokens();
    for (int position = computed; position < computed + tokens; position++) {
      for (LayerGroup group : world.groups()) {
        long key = key(group.id(), ref(one, group, position / 64, BlockRef.EXACT));
        memory.computeIfAbsent(key, k -> new long[64])[position % 64] = one.written[position];
      }
    }
  }

  private void read(Live one, int tokens) {
    int computed = one.cache.computedTokens();
    for (LayerGroup group : world.groups()) {
      for (int query = computed; query < computed + tokens; query++) {
        if (query > computed && query % 64 != 0) {
          continue; // reads what the one before it reads
        }
        for (int position = 0; position <= query; position++) {
          boolean visible =
              group.isFull() || position > query - group.window() || position < group.sinkTokens();
          if (visible) {
            int form = form(one, group, computed, query, position);
            long[] slab = memory.get(key(group.id(), ref(one, group, position / 64, form)));
            assertEquals(one.written[position], slab[position % 64], "group " + group.id());
          }
        }
      }
    }
  }

  private int form(Live one, LayerGroup group, int computed, int query, int position) {
    BlockTable table = one.cache.table(group.id());
    if (!policy.byTemperature()) {
      return table.cooledForms() > 0 ? rule.form(query / 64, position / 64) : BlockRef.EXACT;
    }
    int[] forms = new int[table.entries()];
    table.copyReadForms(forms, 0);
    int form = forms[entry(table, position / 64)];
    assertTrue(form <= rule.form(computed / 64, position / 64), "too young for form " + form);
    return form;
  }

  private void noteMass(Live one) {
    for (LayerGroup group : world.groups()) {
      BlockTable table = one.cache.table(group.id());
      if (table.cooledForms() > 0) {
        float[] shares = new float[table.end()];
        for (int i = 0; i < shares.length; i++) {
          shares[i] = random.nextFloat();
        }
        cache.noteMass(one.cache, group.id(), shares);
      }
    }
  }

  private static int entry(BlockTable table, int block) {
    return block < table.sinkBlocks() ? block : block - table.firstBlock() + table.sinkBlocks();
  }

  private static int ref(Live one, LayerGroup group, int block, int form) {
    BlockTable table = one.cache.table(group.id());
    int[] refs = new int[table.entries()];
    table.copyRefs(form, refs, 0);
    int entry = entry(table, block);
    assertNotEquals(BlockRef.NONE, refs[entry], "block " + block + " in form " + form);
    assertEquals(form, BlockRef.form(refs[entry]));
    return refs[entry];
  }

  private static long key(int group, int ref) {
    return (long) group << 32 | ref & 0xFFFFFFFFL;
  }

  /// A few families of prompts, branching at block borders and elsewhere.
  private int[] randomTokens() {
    int length = 1 + random.nextInt(rule.forms() == 0 ? 450 : 1100);
    int family = random.nextInt(3);
    int branch = random.nextInt(1000);
    int other = 1000 * (1 + random.nextInt(3));
    int[] tokens = new int[length];
    for (int i = 0; i < length; i++) {
      tokens[i] = 10_000 * family + i + (i < branch ? 0 : other);
    }
    return tokens;
  }
}
