package dev.tessera.server.engine;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.codec.FormFactory;
import dev.tessera.kernels.testing.TinyDecoder;
import dev.tessera.kvcache.CopyKeeper;
import dev.tessera.kvcache.FormPlan;
import dev.tessera.kvcache.HashChain;
import dev.tessera.kvcache.KvCache;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.kvcache.MemoryBudget;
import dev.tessera.kvcache.SlabLayout;
import dev.tessera.kvcache.Tier;
import dev.tessera.kvcache.TierBelow;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// An engine without its thread for a tiny decoder on a real backend, with a clock that stands
/// still: then rows alone, not time, cut the prompts.
final class SmallEngine implements AutoCloseable {
  static final int MAX_SEQUENCES = 6;

  final EngineCore core;
  final KvCache cache;
  private final ModelRunner runner;

  /// @param rows of a step at most
  /// @param slabCount of the cache, per layer group
  /// @param tier below it, if any
  SmallEngine(
      Backend backend,
      TinyDecoder decoder,
      KvPolicy policy,
      int rows,
      int slabCount,
      @Nullable Tier tier) {
    List<SlabLayout> slabs = List.of(backend.exactSlabs(decoder.spec()));
    long slabBytes = slabs.stream().mapToLong(SlabLayout::slabBytes).sum();
    long budget = slabCount * slabBytes;
    EngineConfig config =
        new EngineConfig(
            4_096,
            MAX_SEQUENCES,
            1_000,
            1_000_000,
            budget,
            budget / 8,
            policy,
            1_000,
            10,
            rows,
            10_000,
            60_000);
    var limits =
        new SessionLimits(
            rows, config.maxLogitRows(), MAX_SEQUENCES, KvCache.slabCapacities(slabs, budget));
    CooledForms forms =
        new FormFactory(
                FormPlan.of(policy, decoder.spec().kv()),
                decoder.spec(),
                slabs,
                FormFactory.KeyKnowledge.NONE)
            .create(budget);
    DecoderSession session =
        backend.load(decoder.spec(), decoder.weights(), limits, progress -> {});
    if (!policy.isExact()) {
      session.cool(forms);
    }
    runner = new DecoderRunner(session);
    cache =
        new KvCache(
            decoder.spec().kv(),
            EngineLoader.blockForms(slabs, forms, FormFactory.KeyKnowledge.NONE),
            policy,
            new MemoryBudget(budget),
            new byte[0],
            runner::discard,
            tier == null ? null : new TierBelow(tier, runner.slabs(), 2 * slabBytes),
            CopyKeeper.NONE);
    core =
        new EngineCore(
            config,
            slabs.size(),
            cache,
            runner,
            Set.of(2),
            new AdmissionGate(1_000, 1_000_000),
            EngineListener.NONE,
            () -> 0);
  }

  TokenQueue submit(GenerationRequest request) {
    TokenQueue queue = new TokenQueue(request.samples(), 10_000, 0, (sample, reason) -> {});
    core.add(
        new LiveRequest(
            request,
            queue,
            core.live().size() + core.stats().steps() * 100,
            request.sampling().seed(),
            new HashChain(cache.root(request.cacheSalt()))));
    return queue;
  }

  /// Runs until nothing is left to do.
  ///
  /// @param preemptEvery steps between two forced preemptions; 0 for none
  void drive(int preemptEvery) {
    for (int step = 1; core.step(); step++) {
      boolean due = preemptEvery > 0 && step % preemptEvery == 0;
      if (due && core.scheduler().running().size() > 1) {
        core.scheduler().preemptYoungest();
      }
      assertTrue(step < 10_000);
    }
  }

  /// What came out of a request, bit by bit.
  static List<String> describe(TokenQueue queue) {
    List<String> lines = new ArrayList<>();
    for (TokenEvent event : EngineHarness.events(queue)) {
      lines.add(
          switch (event) {
            case TokenEvent.PromptToken(int sample, int position, var scored) ->
                sample + " prompt " + position + " " + describe(scored);
            case TokenEvent.Token(int sample, var scored) -> sample + " " + describe(scored);
            case TokenEvent.Finished end -> end.toString();
          });
    }
    lines.sort(Comparator.comparingInt(line -> line.charAt(0))); // by sample
    return lines;
  }

  private static String describe(TokenEvent.Scored scored) {
    return "%d %08x rank %d top %s %s"
        .formatted(
            scored.id(),
            Float.floatToRawIntBits(scored.logprob()),
            scored.rank(),
            Arrays.toString(scored.topTokens()),
            Arrays.toString(scored.topLogprobs()));
  }

  @Override
  public void close() {
    runner.close();
  }
}
