package dev.tessera.server.engine;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.CooledForm;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.codec.FormFactory;
import dev.tessera.kvcache.BlockForms;
import dev.tessera.kvcache.CopyKeeper;
import dev.tessera.kvcache.FormLayout;
import dev.tessera.kvcache.FormPlan;
import dev.tessera.kvcache.KvCache;
import dev.tessera.kvcache.MemoryBudget;
import dev.tessera.kvcache.SlabLayout;
import dev.tessera.kvcache.Tier;
import dev.tessera.kvcache.TierBelow;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.DoubleConsumer;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/// Puts a decoder, a backend and a cache together into a running engine.
///
/// @param below opened before anything is loaded; what it gives is closed with the engine
/// @param progress called with the share of the loading that is done, from 0 to 1
public record EngineLoader(
    EngineConfig config,
    Backend backend,
    TierOpener below,
    EngineListener listener,
    DoubleConsumer progress) {
  private static final long STAGING_BYTES = 32 << 20;

  /// Learns what a model's keys are like, on a session that serves nobody yet.
  @FunctionalInterface
  public interface KeyTeacher {
    FormFactory.KeyKnowledge learn(DecoderSession session, SessionLimits limits);
  }

  /// Opens the tier below the memory in which tiles are used.
  @FunctionalInterface
  public interface TierOpener {

    /// There is none.
    TierOpener NONE = stagingBytes -> null;

    /// @param stagingBytes of memory for slabs on their way down
    /// @return null for none
    @Nullable Tier open(long stagingBytes) throws IOException;
  }

  /// Loads a decoder and starts to serve it.
  ///
  /// @param fingerprint of the model, and of all else that its keys and values hang on
  /// @param teacher asked where the cache's policy lets tiles cool
  /// @param endTokens tokens that end a generation
  /// @throws IllegalArgumentException if not even one token fits into the cache's budget, or no
  ///   slab into the tier's, or if the policy is not for this model or this backend
  /// @throws IOException if the tier cannot be opened
  public Engine load(
      DecoderSpec spec,
      DecoderWeights weights,
      byte[] fingerprint,
      KeyTeacher teacher,
      Set<Integer> endTokens)
      throws IOException {
    List<SlabLayout> slabs = List.of(backend.exactSlabs(spec));
    long stagingBytes = stagingBytes(slabs);
    Tier tier = below.open(stagingBytes);
    DecoderSession session = null;
    boolean done = false;
    try {
      requireRoom(tier, slabs);
      SessionLimits limits =
          new SessionLimits(
              config.maxStepTokens(),
              config.maxLogitRows(),
              config.maxSequences(),
              KvCache.slabCapacities(slabs, config.kvBudgetBytes()));
      FormPlan plan = FormPlan.of(config.policy(), spec.kv());
      session = backend.load(spec, weights, limits, progress);
      FormFactory.KeyKnowledge keys =
          config.policy().isExact()
              ? FormFactory.KeyKnowledge.NONE
              : teacher.learn(session, limits);
      CooledForms forms = new FormFactory(plan, spec, slabs, keys).create(config.kvBudgetBytes());
      cool(session, forms);
      MemoryPlan memory =
          MemoryPlan.of(
              config.kvBudgetBytes(),
              session.weightBytes(),
              session.scratchBytes() + (tier == null ? 0 : 2 * stagingBytes),
              forms.codeBytes(),
              slabs.stream().mapToLong(SlabLayout::slabBytes).sum(),
              slabs.size(),
              tier == null ? 0 : tier.stats().limitBytes() / smallest(slabs, forms));
      ModelRunner runner = new DecoderRunner(session);
      KvCache cache =
          new KvCache(
              spec.kv(),
              blockForms(slabs, forms, keys),
              config.policy(),
              new MemoryBudget(
                  memory.tileBytes(), Math.min(config.tailBudgetBytes(), memory.tileBytes())),
              fingerprint,
              runner::discard,
              tier == null ? null : new TierBelow(tier, runner.slabs(), stagingBytes),
              keeper(memory, slabs));
      Engine engine =
          new Engine(
              config,
              new Engine.ModelFacts(spec.vocabulary(), slabs.size(), endTokens),
              cache,
              runner,
              tier,
              memory,
              listener);
      engine.start();
      done = true;
      return engine;
    } finally {
      if (!done && session != null) {
        session.close();
      }
      if (!done && tier != null) {
        tier.close();
      }
    }
  }

  /// As much again as tails may take.
  private CopyKeeper keeper(MemoryPlan memory, List<SlabLayout> slabs) {
    long blockBytes = slabs.stream().mapToLong(SlabLayout::slabBytes).sum();
    long bytes = Math.min(config.tailBudgetBytes(), memory.tileBytes());
    return config.policy().byTemperature()
        ? new FrequentCopies(bytes / blockBytes)
        : CopyKeeper.NONE;
  }

  static BlockForms blockForms(
      List<SlabLayout> slabs, CooledForms forms, FormFactory.KeyKnowledge keys) {
    List<List<FormLayout>> layouts = new ArrayList<>();
    for (int group = 0; group < slabs.size(); group++) {
      layouts.add(forms.of(group).stream().map(CooledForm::layout).toList());
    }
    return new BlockForms(forms.rule(), slabs, layouts, keys.epoch());
  }

  private void cool(DecoderSession session, CooledForms forms) {
    if (config.policy().isExact()) {
      return;
    }
    try {
      session.cool(forms);
    } catch (UnsupportedOperationException e) {
      throw new IllegalArgumentException(
          "cache policy %s: backend %s: %s (--kv-cache, kv-cache.policy)"
              .formatted(config.policy().text(), backend.name(), e.getMessage()),
          e);
    }
  }

  /// Memory for slabs on their way to the tier, and as much for those on their way back: what a
  /// step has to copy at most.
  private long stagingBytes(List<SlabLayout> slabs) {
    return Math.max(2 * largest(slabs), Math.min(STAGING_BYTES, config.kvBudgetBytes() / 32));
  }

  private static long largest(List<SlabLayout> slabs) {
    return slabs.stream().mapToLong(SlabLayout::slabBytes).max().orElse(0);
  }

  private static long smallest(List<SlabLayout> slabs, CooledForms forms) {
    return LongStream.concat(
            slabs.stream().mapToLong(SlabLayout::slabBytes),
            forms.groups().stream()
                .flatMap(List::stream)
                .mapToLong(form -> form.layout().slabBytes()))
        .min()
        .orElseThrow();
  }

  private static void requireRoom(@Nullable Tier tier, List<SlabLayout> slabs) {
    if (tier != null && tier.stats().limitBytes() < 2 * largest(slabs)) {
      throw new IllegalArgumentException(
          "%,d bytes of disk hold no two blocks of this model, each of %,d (kv-cache.disk)"
              .formatted(tier.stats().limitBytes(), largest(slabs)));
    }
  }
}
