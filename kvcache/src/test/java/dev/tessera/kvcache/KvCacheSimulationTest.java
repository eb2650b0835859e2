package dev.tessera.kvcache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Random sequences over shared prefixes in a cache that is too small, with what is written in each
/// slab on record: whatever a block table shows must be what its sequence's own tokens would write.
final class KvCacheSimulationTest {
  private static final int STEPS = 6_000;

  static Stream<Object[]> worlds() {
    LayerGroup full = Fixtures.FULL;
    return Stream.of(
        new Object[] {1L, 9, new LayerGroup[] {full}},
        new Object[] {2L, 40, new LayerGroup[] {full}},
        new Object[] {3L, 24, new LayerGroup[] {full, Fixtures.window(1, 100, 0)}},
        new Object[] {
          4L,
          24,
          new LayerGroup[] {Fixtures.window(0, 130, 65), new LayerGroup(1, List.of(1), 0, 0)}
        },
        new Object[] {5L, 12, new LayerGroup[] {Fixtures.window(0, 64, 0)}},
        new Object[] {
          6L, 50, new LayerGroup[] {full, Fixtures.window(1, 1, 1), Fixtures.window(2, 200, 0)}
        });
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
  }

  @ParameterizedTest(name = "seed {0}, {1} slabs")
  @MethodSource("worlds")
  void everyTableShowsItsOwnTokens(long seed, int slabs, LayerGroup[] groups) {
    Map<Long, long[]> memory = new HashMap<>();
    KvCache cache =
        Fixtures.cache(slabs, (g, form, slab) -> memory.remove((long) g << 32 | slab), groups);
    Random random = new Random(seed);
    List<Live> live = new ArrayList<>();
    int hits = 0;
    int refusals = 0;
    for (int step = 0; step < STEPS; step++) {
      int action = random.nextInt(10);
      if (live.isEmpty() || action < 2 && live.size() < 6) {
        int[] tokens = randomTokens(random);
        PrefixMatch match =
            cache.match(new HashChain(cache.root("")), tokens, 1 + random.nextInt(tokens.length));
        long expected = cache.availableBytes() - cache.bytesToOpen(match, match.tokens());
        live.add(new Live(cache.open(match), tokens));
        assertEquals(expected, cache.availableBytes());
        hits += match.tokens() > 0 ? 1 : 0;
      } else if (action < 8) {
        Live one = live.get(random.nextInt(live.size()));
        int left = one.tokens.length - one.cache.computedTokens();
        int wanted = Math.min(left, 1 + random.nextInt(150));
        int granted = cache.reserve(one.cache, wanted);
        assertTrue(granted <= wanted && granted >= 0);
        refusals += granted < wanted ? 1 : 0;
        int computed = one.cache.computedTokens();
        write(memory, groups, one, computed, computed + granted);
        check(memory, groups, one, computed + granted);
        cache.publish(one.cache, one.tokens, computed + granted);
        if (random.nextInt(4) == 0) {
          cache.keepTail(one.cache);
        }
        if (granted == 0 && left > 0) {
          cache.release(live.remove(random.nextInt(live.size())).cache);
        }
      } else if (action == 8) {
        cache.release(live.remove(random.nextInt(live.size())).cache);
      } else if (random.nextInt(50) == 0) {
        cache.evict(random.nextInt(slabs + 1) * Fixtures.SLAB);
        cache.trim();
      }
      cache.checkIntegrity();
    }
    assertTrue(hits > STEPS / 100, "only " + hits + " hits");
    assertTrue(refusals > 0 || slabs >= 40, "memory was never short");
    live.forEach(one -> cache.release(one.cache));
    cache.checkIntegrity();
    assertEquals(0, cache.stats().usedBytes());
    cache.evict(slabs * Fixtures.SLAB);
    cache.checkIntegrity();
    assertEquals(0, cache.stats().cachedBytes());
  }

  /// A few families of prompts, branching at block borders and elsewhere.
  private static int[] randomTokens(Random random) {
    int length = 1 + random.nextInt(450);
    int family = random.nextInt(3);
    int branch = random.nextInt(500);
    int other = 1000 * (1 + random.nextInt(3));
    int[] tokens = new int[length];
    for (int i = 0; i < length; i++) {
      tokens[i] = 10_000 * family + i + (i < branch ? 0 : other);
    }
    return tokens;
  }

  private static void write(
      Map<Long, long[]> memory, LayerGroup[] groups, Live one, int from, int to) {
    for (int position = from; position < to; position++) {
      for (LayerGroup group : groups) {
        slab(memory, group, one.cache, position / 64)[position % 64] = one.written[position];
      }
    }
  }

  private static void check(Map<Long, long[]> memory, LayerGroup[] groups, Live one, int to) {
    int next = one.cache.computedTokens();
    for (LayerGroup group : groups) {
      for (int position = 0; position < to; position++) {
        boolean visible =
            group.isFull() || position > next - group.window() || position < group.sinkTokens();
        if (visible) {
          assertEquals(
              one.written[position],
              slab(memory, group, one.cache, position / 64)[position % 64],
              () -> "group " + group.id());
        }
      }
    }
  }

  private static long[] slab(
      Map<Long, long[]> memory, LayerGroup group, SequenceCache cache, int block) {
    BlockTable table = cache.table(group.id());
    int[] refs = new int[table.entries()];
    table.copyRefs(refs, 0);
    int entry =
        block < table.sinkBlocks() ? block : block - table.firstBlock() + table.sinkBlocks();
    long key = (long) group.id() << 32 | BlockRef.slab(refs[entry]);
    return memory.computeIfAbsent(key, k -> new long[64]);
  }
}
