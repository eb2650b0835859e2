package dev.tessera.server.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kvcache.CoolingRule;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.kvcache.KvPolicyParser;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.PolicySetting;
import dev.tessera.kvcache.SequenceCache;
import dev.tessera.kvcache.TierStats;
import dev.tessera.kvcache.testing.ForgetfulTier;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Scheduler, cache, cancels and readers under a random load in too little memory, more than
/// 100,000 steps altogether, with every invariant checked after each step.
///
/// The seed is in the name of the test; the same seed is the same run.
final class EngineSimulationTest {
  private static final int STEPS = 15_000;
  private static final int MAX_EVENTS = 30;

  /// A step may take so many before a request of the best priority must have ended.
  private static final int PATIENCE = 4_000;

  /// @param slabs of the budget
  /// @param policy of the cache, its text
  /// @param hasTier whether there is a tier below
  record World(
      long seed,
      int slabs,
      int maxSequences,
      int maxRows,
      List<LayerGroup> groups,
      String policy,
      boolean hasTier) {
    World(
        long seed,
        int slabs,
        int maxSequences,
        int maxRows,
        List<LayerGroup> groups,
        String policy) {
      this(seed, slabs, maxSequences, maxRows, groups, policy, false);
    }

    World below(long otherSeed) {
      return new World(otherSeed, slabs, maxSequences, maxRows, groups, policy, true);
    }

    @Override
    public String toString() {
      return "seed %d, %d slabs, %d sequences, %d rows, windows %s, %s%s"
          .formatted(
              seed,
              slabs,
              maxSequences,
              maxRows,
              groups.stream().map(LayerGroup::window).toList(),
              policy,
              hasTier ? ", a tier below" : "");
    }
  }

  static Stream<World> worlds() {
    List<LayerGroup> full = List.of(EngineHarness.full());
    List<LayerGroup> mixed = List.of(EngineHarness.full(), new LayerGroup(1, List.of(1), 100, 0));
    List<LayerGroup> sinks =
        List.of(new LayerGroup(0, List.of(0), 70, 10), new LayerGroup(1, List.of(1), 0, 0));
    List<LayerGroup> windows = List.of(new LayerGroup(0, List.of(0), 130, 0));
    String i8 = "exact:first=64,last=64;k=i8;v=i8";
    String ladder = "exact:first=0,last=64;k=p4,p3@128,p2@256;v=p3,p2@192";
    List<World> worlds =
        List.of(
            new World(101, 9, 6, 64, full, "exact"),
            new World(102, 14, 8, 32, full, "exact"),
            new World(103, 60, 16, 256, full, "exact"),
            new World(104, 9, 1, 16, full, "exact"),
            new World(105, 18, 6, 64, mixed, "exact"),
            new World(106, 40, 8, 128, mixed, "exact"),
            new World(107, 17, 8, 48, sinks, "exact"),
            new World(108, 8, 8, 64, windows, "exact"),
            new World(109, 9, 6, 64, full, i8),
            new World(110, 12, 8, 256, full, ladder),
            new World(111, 40, 12, 512, full, ladder),
            new World(112, 18, 6, 200, mixed, ladder),
            new World(113, 17, 8, 48, sinks, "exact:first=64,last=128;k=exact;v=p4,p2@192"));
    List<World> all = new ArrayList<>(worlds);
    String warm = "temperature:exact:first=64,last=64;k=i8;v=i8";
    all.add(new World(120, 12, 6, 64, full, warm));
    all.add(new World(121, 14, 8, 256, full, "temperature:" + ladder));
    all.add(new World(122, 40, 12, 512, full, "temperature:" + ladder));
    all.add(new World(123, 20, 6, 64, mixed, "temperature:" + ladder).below(223));
    for (int i : new int[] {0, 1, 5, 6, 10, 11, 12}) {
      all.add(worlds.get(i).below(300 + i));
    }
    all.add(worlds.get(8).below(318));
    return all.stream();
  }

  enum Moment {
    NEVER_SCHEDULED,
    IN_ITS_PROMPT,
    GENERATING,
    PREEMPTED
  }

  /// A request and what its reader has seen.
  private static final class Client {
    final GenerationRequest request;
    final TokenQueue queue;
    final List<TokenEvent> events = new ArrayList<>();
    final Set<Integer> cancelled = new HashSet<>();
    final boolean slow;
    final int since;
    int ends;

    Client(GenerationRequest request, TokenQueue queue, boolean slow, int since) {
      this.request = request;
      this.queue = queue;
      this.slow = slow;
      this.since = since;
    }
  }

  private EngineHarness engine;
  private Random random;
  private final List<Client> clients = new ArrayList<>();
  private final Map<Moment, Integer> cancels = new EnumMap<>(Moment.class);
  private final Map<FinishReason, Integer> reasons = new EnumMap<>(FinishReason.class);
  private int overflows;
  private int refusals;

  @ParameterizedTest(name = "{0}")
  @MethodSource("worlds")
  void everyRequestGetsItsOwnTokensAndOneEnd(World world) {
    random = new Random(world.seed());
    KvPolicy policy =
        assertInstanceOf(PolicySetting.Fixed.class, KvPolicyParser.parse(world.policy())).policy();
    EngineConfig config =
        new EngineConfig(
            100_000,
            world.maxSequences(),
            12,
            3_000,
            world.slabs() * EngineHarness.SLAB,
            world.slabs() * EngineHarness.SLAB / 8,
            policy,
            1 + random.nextInt(20),
            (int) (world.seed() % 10),
            Math.max(world.maxRows(), world.maxSequences()),
            MAX_EVENTS,
            60_000);
    engine =
        new EngineHarness(
            config,
            world.hasTier() ? new ForgetfulTier(new Random(world.seed()), 400) : null,
            world.groups().toArray(new LayerGroup[0]));
    EngineStats before = engine.core.stats();
    for (int step = 0; step < STEPS; step++) {
      // Waves of load, so that the engine is sometimes idle and sometimes overrun.
      double load = 0.08 * (1 + Math.sin(step / 300.0));
      if (random.nextDouble() < load) {
        arrive(step);
      }
      if (random.nextInt(60) == 0) {
        cancelSomething();
      }
      if (random.nextInt(50) == 0 && !engine.core.scheduler().running().isEmpty()) {
        // Admission is too careful for preemption to be frequent by itself.
        engine.core.scheduler().preemptYoungest();
      }
      step();
      EngineStats after = engine.core.stats();
      requireMonotone(before, after);
      before = after;
      read(step);
    }
    for (int i = 0; !engine.core.isIdle(); i++) {
      step();
      read(STEPS + i);
      assertTrue(i < 20_000, "never idle");
    }
    read(Integer.MAX_VALUE);
    assertEquals(List.of(), clients);
    assertEquals(0, engine.gate.liveRequests());
    assertEquals(0, engine.core.stats().usedBytes());
    assertTrue(engine.cache.liveSequences().isEmpty());
    requireVariety(world);
  }

  private void arrive(int step) {
    int family = random.nextInt(4);
    int length = 1 + random.nextInt(random.nextInt(4) == 0 ? 350 : 90);
    int branch = random.nextInt(300);
    int[] prompt = new int[length];
    for (int i = 0; i < length; i++) {
      int token = family * 7 + i * 3 + (i < branch ? 0 : step);
      prompt[i] = Math.floorMod(token, FakeModelRunner.VOCABULARY);
    }
    Requests requests = new Requests();
    requests.prompt = prompt;
    requests
        .id("s" + step)
        .samples(random.nextInt(5) == 0 ? 1 + random.nextInt(4) : 1)
        .maxTokens(
            random.nextInt(12) == 0 ? 0 : 1 + random.nextInt(random.nextInt(2) == 0 ? 350 : 60))
        .temperature(random.nextInt(2))
        .presence(random.nextInt(3) == 0 ? 0.5f : 0)
        .seed(random.nextLong())
        .priority(random.nextInt(4) == 0 ? random.nextInt(3) - 1 : 0)
        .promptLogprobs(random.nextInt(10) == 0 ? 0 : -1)
        .salt(random.nextInt(6) == 0 ? "tenant" : "");
    requests.minTokens(random.nextInt(3) == 0 ? random.nextInt(requests.maxTokens + 1) : 0);
    if (random.nextInt(4) == 0) {
      requests.heedEos();
    }
    if (random.nextInt(5) == 0) {
      requests.stopTokens(random.nextInt(50), random.nextInt(20) + 50);
    }
    GenerationRequest request = requests.build();
    if (engine.cache.bytesFor(length + request.maxTokens()) > engine.config.kvBudgetBytes()) {
      refusals++;
      return;
    }
    if (engine.core.live().size() > 20) {
      return;
    }
    try {
      TokenQueue queue = engine.submit(request);
      clients.add(new Client(request, queue, random.nextInt(14) == 0, step));
    } catch (IllegalStateException full) {
      refusals++;
    }
  }

  private void cancelSomething() {
    if (clients.isEmpty()) {
      return;
    }
    Client client = clients.get(random.nextInt(clients.size()));
    for (Client other : clients) {
      // The rare moments are worth looking for.
      Sequence first = engine.live(other.queue).sequences.getFirst();
      if (random.nextBoolean()
          && !first.finished
          && (moment(first) == Moment.IN_ITS_PROMPT || moment(first) == Moment.PREEMPTED)) {
        client = other;
      }
    }
    LiveRequest live = engine.live(client.queue);
    int sample = random.nextInt(3) == 0 ? random.nextInt(client.request.samples()) : -1;
    for (Sequence sequence : live.sequences) {
      if (!sequence.finished && (sample < 0 || sample == sequence.sample)) {
        cancels.merge(moment(sequence), 1, Integer::sum);
        client.cancelled.add(sequence.sample);
      }
    }
    if (sample < 0) {
      client.queue.cancel();
    } else {
      client.queue.cancel(sample);
    }
    for (Sequence sequence : live.sequences) {
      assertTrue(sequence.finished || !client.cancelled.contains(sequence.sample));
    }
  }

  private static Moment moment(Sequence sequence) {
    if (sequence.cache == null) {
      return sequence.outputTokens() > 0 ? Moment.PREEMPTED : Moment.NEVER_SCHEDULED;
    }
    return sequence.remainingTokens() > 1 ? Moment.IN_ITS_PROMPT : Moment.GENERATING;
  }

  private void step() {
    requireOneHomeForEach();
    List<Sequence> due =
        engine.core.scheduler().running().stream()
            .filter(sequence -> sequence.remainingTokens() == 1)
            .toList();
    List<Integer> outputs = due.stream().map(Sequence::outputTokens).toList();
    engine.core.step();
    engine.cache.checkIntegrity();
    // Whoever finds no room waits for coolings; PATIENCE is for it as for all.
    boolean waits = engine.config.policy().byTemperature();
    for (int i = 0; i < due.size(); i++) {
      Sequence sequence = due.get(i);
      boolean advanced = sequence.outputTokens() > outputs.get(i);
      assertTrue(
          advanced || sequence.finished || sequence.cache == null || waits,
          () -> sequence + " was due and did not advance");
    }
    requireOneHomeForEach();
  }

  /// Every live sequence is running with blocks or waiting without, and nothing else has blocks.
  private void requireOneHomeForEach() {
    List<Sequence> running = engine.core.scheduler().running();
    assertTrue(running.size() <= engine.config.maxSequences());
    Set<SequenceCache> caches = new HashSet<>();
    for (int i = 0; i < running.size(); i++) {
      Sequence sequence = running.get(i);
      assertFalse(sequence.finished);
      assertTrue(sequence.computedTokens() < sequence.length());
      assertTrue(caches.add(sequence.cache));
      assertTrue(i == 0 || Sequence.ORDER.compare(running.get(i - 1), sequence) < 0);
    }
    assertEquals(caches, new HashSet<>(engine.cache.liveSequences()));
    int unfinished = 0;
    for (LiveRequest live : engine.core.live()) {
      for (Sequence sequence : live.sequences) {
        unfinished += sequence.finished ? 0 : 1;
        assertEquals(sequence.cache != null, running.contains(sequence));
      }
    }
    assertEquals(unfinished, running.size() + engine.core.scheduler().waitingCount());
    assertEquals(engine.core.live().size(), engine.gate.liveRequests());
  }

  private static void requireMonotone(EngineStats before, EngineStats after) {
    assertTrue(after.generatedTokens() >= before.generatedTokens());
    assertTrue(after.preemptions() >= before.preemptions());
    assertTrue(after.prefixHitTokens() >= before.prefixHitTokens());
    assertTrue(after.prefixQueryTokens() >= before.prefixQueryTokens());
    assertTrue(after.promptTokens() >= before.promptTokens());
    assertTrue(after.steps() >= before.steps());
    assertTrue(after.usedBytes() + after.cachedBytes() <= after.budgetBytes());
  }

  private void read(int step) {
    for (Iterator<Client> i = clients.iterator(); i.hasNext(); ) {
      Client client = i.next();
      if (!client.slow || step == Integer.MAX_VALUE || step % 60 == 0) {
        for (TokenEvent event : EngineHarness.events(client.queue)) {
          client.events.add(event);
          client.ends += event instanceof TokenEvent.Finished ? 1 : 0;
        }
      }
      if (client.ends == client.request.samples()) {
        checkEvents(client);
        i.remove();
      } else {
        assertTrue(
            client.request.priority() > -1 || step - client.since < PATIENCE || client.slow,
            () -> client.request.id() + " starves");
      }
    }
  }

  private void checkEvents(Client client) {
    for (int sample = 0; sample < client.request.samples(); sample++) {
      Requests.Expected expected =
          Requests.alone(
              engine.geometry, foretoldRule(), client.request, sample, EngineHarness.END_TOKENS);
      TokenEvent.Finished end = EngineHarness.end(client.events, sample);
      List<Integer> tokens = EngineHarness.tokens(client.events, sample);
      List<Float> scores = scores(client, sample);
      reasons.merge(end.reason(), 1, Integer::sum);
      if (end.reason() == FinishReason.ABORT) {
        if (!client.cancelled.contains(sample)) {
          overflows++;
          assertTrue(client.slow || client.request.sampling().promptLogprobs() >= 0);
        }
        assertEquals(expected.tokens().subList(0, tokens.size()), tokens);
        assertEquals(expected.scores().subList(0, scores.size()), scores);
      } else {
        assertEquals(
            expected, new Requests.Expected(scores, tokens, end.reason(), end.stopToken()));
      }
    }
  }

  /// By temperature forms hang on the load, and the fake model's output does not show them.
  private CoolingRule foretoldRule() {
    KvPolicy policy = engine.config.policy();
    return policy.byTemperature() ? CoolingRule.NEVER : policy.rule();
  }

  private static List<Float> scores(Client client, int sample) {
    List<Float> scores = new ArrayList<>();
    for (TokenEvent event : client.events) {
      if (event instanceof TokenEvent.PromptToken(int s, int position, var token) && s == sample) {
        assertEquals(scores.size() + 1, position);
        assertEquals(client.request.prompt()[position], token.id());
        scores.add(token.logprob());
      }
    }
    return scores;
  }

  /// A simulation in which nothing happens proves nothing.
  private void requireVariety(World world) {
    EngineStats stats = engine.core.stats();
    String summary = world + ": " + stats + " " + reasons + " " + cancels + " " + overflows;
    assertTrue(stats.prefixHitTokens() > 500, summary);
    boolean cools = !engine.config.policy().isExact();
    assertTrue(engine.runner.cooled > (cools ? 100 : -1), summary + engine.runner.cooled);
    if (engine.config.policy().byTemperature()) {
      assertTrue(engine.runner.readForms > 0, summary);
    }
    assertTrue(stats.steps() > STEPS / 2, summary);
    assertTrue(
        reasons.keySet().containsAll(Set.of(FinishReason.STOP, FinishReason.LENGTH)), summary);
    assertTrue(overflows > 0, summary);
    assertTrue(stats.preemptions() > 100, summary);
    if (world.hasTier()) {
      TierStats tier = stats.tiers().getFirst().stats();
      assertTrue(tier.fetched() > 20 && tier.lost() > 0, summary);
    }
    for (Moment moment : Moment.values()) {
      boolean rare = moment == Moment.PREEMPTED && world.slabs() > (cools ? 30 : 50);
      assertTrue(rare || cancels.getOrDefault(moment, 0) > 0, summary);
    }
  }
}
