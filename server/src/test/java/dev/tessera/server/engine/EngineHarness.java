package dev.tessera.server.engine;

import dev.tessera.kvcache.BlockForms;
import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.CopyKeeper;
import dev.tessera.kvcache.ElementType;
import dev.tessera.kvcache.ExactFormat;
import dev.tessera.kvcache.FormLayout;
import dev.tessera.kvcache.FormPlan;
import dev.tessera.kvcache.HashChain;
import dev.tessera.kvcache.KvCache;
import dev.tessera.kvcache.KvGeometry;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.MemoryBudget;
import dev.tessera.kvcache.Rung;
import dev.tessera.kvcache.SlabLayout;
import dev.tessera.kvcache.TierBelow;
import dev.tessera.kvcache.TileFormat;
import dev.tessera.kvcache.TileShape;
import dev.tessera.kvcache.testing.ForgetfulTier;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// The engine without its thread, on the fake model and with a clock that only the model moves.
final class EngineHarness {
  static final long SLAB = 2048;
  static final Set<Integer> END_TOKENS = Set.of(3);

  final KvGeometry geometry;
  final KvCache cache;
  final FakeModelRunner runner;
  final AdmissionGate gate;
  final EngineCore core;
  final EngineConfig config;
  final List<EngineListener.StepStats> steps = new ArrayList<>();
  final List<EngineListener.RequestStats> finished = new ArrayList<>();
  private final Map<TokenQueue, LiveRequest> requests = new HashMap<>();
  private final @Nullable ForgetfulTier tier;
  private long arrivals;

  EngineHarness(EngineConfig config, LayerGroup... groups) {
    this(config, null, groups);
  }

  EngineHarness(EngineConfig config, @Nullable ForgetfulTier tier, LayerGroup... groups) {
    this.tier = tier;
    this.config = config;
    this.geometry = new KvGeometry(List.of(groups), groups.length, 1, 8);
    this.runner =
        new FakeModelRunner(geometry, config.policy().rule(), config.policy().byTemperature());
    this.runner.maxRows = config.maxStepTokens();
    this.runner.maxLogitRows = config.maxLogitRows();
    this.cache = cache(geometry, config, runner, tier);
    this.gate = new AdmissionGate(config.maxQueuedRequests(), config.maxQueuedPromptTokens());
    EngineListener listener =
        new EngineListener() {
          @Override
          public void onStep(StepStats step) {
            steps.add(step);
          }

          @Override
          public void onFinished(RequestStats request) {
            finished.add(request);
          }
        };
    this.core =
        new EngineCore(
            config, groups.length, cache, runner, END_TOKENS, gate, listener, () -> runner.nanos);
  }

  static KvCache cache(KvGeometry geometry, EngineConfig config, ModelRunner runner) {
    return cache(geometry, config, runner, null);
  }

  private static KvCache cache(
      KvGeometry geometry, EngineConfig config, ModelRunner runner, @Nullable ForgetfulTier tier) {
    TileShape shape = TileShape.of(8);
    List<SlabLayout> slabs =
        geometry.groups().stream()
            .map(
                group ->
                    new SlabLayout(
                        group,
                        1,
                        new ExactFormat(ElementType.F16, ExactFormat.Arrangement.LANES_16, shape),
                        new ExactFormat(
                            ElementType.F16, ExactFormat.Arrangement.TOKEN_MAJOR, shape)))
            .toList();
    FormPlan plan = FormPlan.of(config.policy(), geometry);
    return new KvCache(
        geometry,
        new BlockForms(
            plan.rule(),
            slabs,
            slabs.stream().map(slab -> forms(plan, slab)).toList(),
            new byte[0]),
        config.policy(),
        new MemoryBudget(config.kvBudgetBytes(), config.tailBudgetBytes()),
        new byte[] {1},
        runner::discard,
        tier == null ? null : new TierBelow(tier, runner.slabs(), 3 * SLAB),
        config.policy().byTemperature() ? new FrequentCopies(3) : CopyKeeper.NONE);
  }

  private static List<FormLayout> forms(FormPlan plan, SlabLayout slab) {
    if (!plan.cools(slab.group())) {
      return List.of();
    }
    int layer = slab.group().layers().getFirst();
    return plan.forms().stream()
        .map(
            form ->
                FormLayout.uniform(
                    slab.group(),
                    1,
                    format(form.keys().get(layer), slab.key(), CodedFormat.Role.KEY),
                    format(form.values().get(layer), slab.value(), CodedFormat.Role.VALUE)))
        .toList();
  }

  private static TileFormat format(
      FormPlan.TilePlan plan, TileFormat exact, CodedFormat.Role role) {
    Rung rung = plan.rung();
    return rung.isExact()
        ? exact
        : new CodedFormat(
            rung.toString(), role, exact.shape(), List.of(rung.bits()), false, rung.spared());
  }

  static LayerGroup full() {
    return new LayerGroup(0, List.of(0), 0, 0);
  }

  /// A configuration with room for so many slabs.
  static EngineConfig config(int slabs, int maxSequences) {
    return config(slabs, maxSequences, 256);
  }

  static EngineConfig config(int slabs, int maxSequences, int maxStepTokens) {
    return new EngineConfig(
        100_000,
        maxSequences,
        1_000,
        1_000_000,
        slabs * SLAB,
        slabs * SLAB / 8,
        KvPolicy.EXACT,
        20,
        10,
        maxStepTokens,
        1_000,
        60_000);
  }

  TokenQueue submit(Requests requests) {
    return submit(requests.build());
  }

  TokenQueue submit(GenerationRequest request) {
    if (gate.enter(request) != null) {
      throw new IllegalStateException("refused");
    }
    LiveRequest[] self = new LiveRequest[1];
    TokenQueue queue =
        new TokenQueue(
            request.samples(),
            config.maxQueuedEvents(),
            runner.nanos,
            (sample, reason) -> core.end(self[0], sample, reason));
    long seed = request.sampling().seed();
    self[0] =
        new LiveRequest(
            request, queue, ++arrivals, seed, new HashChain(cache.root(request.cacheSalt())));
    requests.put(queue, self[0]);
    core.add(self[0]);
    return queue;
  }

  LiveRequest live(TokenQueue queue) {
    return requests.get(queue);
  }

  Sequence sequence(TokenQueue queue) {
    return live(queue).sequences.getFirst();
  }

  void step() {
    core.step();
    if (tier != null) {
      tier.work();
    }
    cache.checkIntegrity();
  }

  void run(int steps) {
    for (int i = 0; i < steps; i++) {
      step();
    }
  }

  void run() {
    for (int i = 0; !core.isIdle(); i++) {
      step();
      if (i > 100_000) {
        throw new IllegalStateException("never idle");
      }
    }
  }

  static List<TokenEvent> events(TokenQueue queue) {
    List<TokenEvent> events = new ArrayList<>();
    try {
      for (TokenEvent e = queue.next(Duration.ZERO); e != null; e = queue.next(Duration.ZERO)) {
        events.add(e);
      }
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
    return events;
  }

  static List<Integer> tokens(List<TokenEvent> events, int sample) {
    return events.stream()
        .filter(e -> e instanceof TokenEvent.Token && e.sample() == sample)
        .map(e -> ((TokenEvent.Token) e).token().id())
        .toList();
  }

  static TokenEvent.Finished end(List<TokenEvent> events, int sample) {
    List<TokenEvent.Finished> ends =
        events.stream()
            .filter(e -> e instanceof TokenEvent.Finished && e.sample() == sample)
            .map(e -> (TokenEvent.Finished) e)
            .toList();
    if (ends.size() != 1) {
      throw new IllegalStateException(ends.size() + " ends of sample " + sample);
    }
    return ends.getFirst();
  }
}
