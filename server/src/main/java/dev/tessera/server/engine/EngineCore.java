package dev.tessera.server.engine;

import dev.tessera.kernels.AttentionMass;
import dev.tessera.kernels.SampleOutcome;
import dev.tessera.kernels.SampleRequest;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kvcache.CachePicture;
import dev.tessera.kvcache.Cooling;
import dev.tessera.kvcache.Heat;
import dev.tessera.kvcache.KvCache;
import dev.tessera.kvcache.KvStats;
import dev.tessera.kvcache.SequenceCache;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/// Everything mutable of the engine, without its thread: a step schedules, computes, samples and
/// hands out. One thread uses it; with a fake [ModelRunner] and a fake clock it is a simulation.
final class EngineCore {

  private final int groups;
  private final KvCache cache;
  private final ModelRunner runner;
  private final Set<Integer> endTokens;
  private final AdmissionGate gate;
  private final EngineListener listener;
  private final LongSupplier clock;
  private final StepCost cost = new StepCost();
  private final Recalls recalls;
  private final Scheduler scheduler;
  private final BatchBuilder batches;
  private final Deliveries deliveries;
  private final Set<LiveRequest> live = new LinkedHashSet<>();
  private long preemptions;
  private long promptTokens;
  private long generatedTokens;
  private long steps;

  /// @param endTokens the model's own
  /// @param clock as [System#nanoTime]
  EngineCore(
      EngineConfig config,
      int groups,
      KvCache cache,
      ModelRunner runner,
      Set<Integer> endTokens,
      AdmissionGate gate,
      EngineListener listener,
      LongSupplier clock) {
    this.cache = cache;
    this.runner = runner;
    this.endTokens = Set.copyOf(endTokens);
    this.gate = gate;
    this.listener = listener;
    this.clock = clock;
    this.recalls = new Recalls(cache, cost, clock);
    this.scheduler = new Scheduler(cache, cost, config, recalls, this::onPreempted);
    this.groups = groups;
    this.batches = new BatchBuilder(groups, cache);
    this.deliveries = new Deliveries(config.streamIntervalMillis() * 1_000_000L);
  }

  boolean isIdle() {
    return scheduler.isIdle();
  }

  /// Takes a request in that the gate has let in.
  void add(LiveRequest request) {
    live.add(request);
    Set<Integer> ends = new HashSet<>(request.request.stopTokens());
    if (!request.request.ignoreEos()) {
      ends.addAll(endTokens);
    }
    for (int sample = 0; sample < request.request.samples(); sample++) {
      request.sequences.add(new Sequence(request, sample, ends));
    }
    for (Sequence sequence : request.sequences) {
      if (sequence.remainingTokens() == 0) {
        finish(sequence, FinishReason.LENGTH, null, null);
      } else {
        scheduler.add(sequence);
      }
    }
  }

  /// Ends one sample, or with [TokenQueue#ALL] all of them, whatever they are doing.
  void end(LiveRequest request, int sample, FinishReason reason) {
    for (Sequence sequence : request.sequences) {
      if (!sequence.finished && (sample == TokenQueue.ALL || sequence.sample == sample)) {
        finish(sequence, reason, null, null);
      }
    }
  }

  void cancelAll() {
    for (LiveRequest request : new ArrayList<>(live)) {
      end(request, TokenQueue.ALL, FinishReason.ABORT);
    }
  }

  /// Tells every reader that nothing comes any more. The cache is left as it is: it may be what
  /// broke.
  void fail(String reason) {
    for (LiveRequest request : live) {
      request.queue.endAll(FinishReason.ERROR, reason);
    }
    live.clear();
  }

  /// Makes one step. False if there was nothing to do.
  boolean step() {
    if (scheduler.isIdle()) {
      return false;
    }
    long start = clock.getAsLong();
    StepPlan plan = scheduler.schedule();
    if (plan.chunks().isEmpty()) {
      if (cache.makesRoom()) {
        cool(plan);
        return true;
      }
      if (recalls.await()) {
        deliveries.deliver(clock.getAsLong());
        return true;
      }
      throw new IllegalStateException(
          "nothing can be scheduled: %d running, %d waiting, %s"
              .formatted(scheduler.running().size(), scheduler.waitingCount(), cache.stats()));
    }
    noteFirstSchedules(plan, start);
    boolean measuresMass = cache.byTemperature() && steps % Heat.MEASURED_STEPS == 0;
    StepBatch batch = batches.batch(plan, cache.takeCoolings(), measuresMass);
    List<SampleRequest> requests = batches.sampleRequests(plan);
    long submitted = clock.getAsLong();
    List<SampleOutcome> outcomes = runner.run(batch, requests);
    if (outcomes.size() != requests.size()) {
      throw new IllegalStateException(
          outcomes.size() + " outcomes for " + requests.size() + " sample requests");
    }
    cost.observe(plan.rows(), plan.attended(), clock.getAsLong() - submitted);
    if (measuresMass) {
      noteMass(plan);
    }
    cache.endStep();
    int running = scheduler.running().size();
    complete(plan, outcomes);
    steps++;
    long now = clock.getAsLong();
    deliveries.deliver(now);
    long nanos = now - start;
    listener.onStep(
        new EngineListener.StepStats(
            plan.rows(),
            plan.chunks().stream().mapToInt(c -> c.tokens() > 1 ? c.tokens() : 0).sum(),
            plan.chunks().size(),
            requests.size(),
            running,
            scheduler.waitingCount(),
            nanos));
    return true;
  }

  /// A step that computes nothing, because there is no memory for that before something has cooled.
  private void cool(StepPlan empty) {
    List<Cooling> coolings = cache.takeCoolings();
    if (!coolings.isEmpty()) {
      List<SampleOutcome> ignored = runner.run(batches.batch(empty, coolings, false), List.of());
    }
    cache.endStep();
    steps++;
    deliveries.deliver(clock.getAsLong());
  }

  /// Tells the cache what attention its blocks got from sequences that generate.
  private void noteMass(StepPlan plan) {
    AttentionMass mass = runner.attentionMass();
    for (int s = 0; s < plan.chunks().size(); s++) {
      SequenceCache sequence = plan.chunks().get(s).sequence().cache;
      for (int group = 0; group < groups && sequence != null; group++) {
        if (mass.measures(group, s)) {
          cache.noteMass(sequence, group, mass.of(group, s));
        }
      }
    }
  }

  private void noteFirstSchedules(StepPlan plan, long now) {
    for (StepPlan.Chunk chunk : plan.chunks()) {
      Sequence sequence = chunk.sequence();
      LiveRequest request = sequence.live;
      if (!request.scheduled && sequence.cache != null) {
        request.scheduled = true;
        gate.leaveQueue(request.request);
        int cached = sequence.cache.cachedTokens();
        promptTokens += sequence.promptTokens();
        cache.countLookup(sequence.promptTokens(), cached);
        request.queue.scheduledAt(now, cached);
        listener.onScheduled(now - request.queue.accepted());
      }
    }
  }

  /// Publishes what a step has computed and hands its tokens out.
  private void complete(StepPlan plan, List<SampleOutcome> outcomes) {
    int next = 0;
    for (StepPlan.Chunk chunk : plan.chunks()) {
      Sequence sequence = chunk.sequence();
      int firstLogit = chunk.firstLogit();
      if (!sequence.finished) {
        publish(sequence, chunk.end());
      }
      for (int position = firstLogit; position < chunk.end(); position++) {
        SampleOutcome outcome = outcomes.get(next++);
        if (!sequence.finished) {
          handOut(sequence, position, outcome);
        }
      }
      if (!sequence.finished && sequence.remainingTokens() == 0) {
        finish(sequence, FinishReason.LENGTH, null, null);
      }
    }
  }

  private void publish(Sequence sequence, int end) {
    if (sequence.cache == null) {
      throw new IllegalStateException(sequence + " was computed without blocks");
    }
    cache.publish(sequence.cache, sequence.tokens(), end);
    if (end >= sequence.promptTokens() && !sequence.live.promptPublished) {
      sequence.live.promptPublished = true;
      cache.keepTail(sequence.cache);
    }
  }

  private void handOut(Sequence sequence, int position, SampleOutcome outcome) {
    switch (outcome) {
      case SampleOutcome.Broken(String reason) ->
          finish(sequence, FinishReason.ERROR, null, reason);
      case SampleOutcome.Chosen chosen -> {
        TokenEvent.Scored scored =
            new TokenEvent.Scored(
                chosen.token(),
                chosen.logprob(),
                chosen.rank(),
                chosen.topTokens(),
                chosen.topLogprobs());
        if (position + 1 < sequence.length()) {
          sequence.scored(position);
          put(sequence, new TokenEvent.PromptToken(sequence.sample, position + 1, scored));
        } else {
          handOutToken(sequence, scored);
        }
      }
    }
  }

  private void handOutToken(Sequence sequence, TokenEvent.Scored scored) {
    GenerationRequest request = sequence.live.request;
    boolean ends =
        request.stopTokens().contains(scored.id())
            || !request.ignoreEos() && endTokens.contains(scored.id());
    if (ends && sequence.outputTokens() >= request.minTokens()) {
      finish(sequence, FinishReason.STOP, scored.id(), null);
      return;
    }
    noteToken(sequence);
    sequence.append(scored.id());
    put(sequence, new TokenEvent.Token(sequence.sample, scored));
    if (!sequence.finished && sequence.outputTokens() >= request.maxTokens()) {
      finish(sequence, FinishReason.LENGTH, null, null);
    }
  }

  private void noteToken(Sequence sequence) {
    long now = clock.getAsLong();
    generatedTokens++;
    sequence.live.generatedTokens++;
    if (sequence.outputTokens() == 0) {
      sequence.live.queue.firstTokenAt(now);
      listener.onFirstToken(now - sequence.live.queue.accepted());
    } else {
      listener.onNextToken(now - sequence.lastToken);
    }
    sequence.lastToken = now;
  }

  /// Puts an event into its queue; a reader that has left too many unread loses its request.
  private void put(Sequence sequence, TokenEvent event) {
    if (!sequence.live.queue.offer(event)) {
      end(sequence.live, TokenQueue.ALL, FinishReason.ABORT);
    } else {
      deliveries.add(sequence.live);
    }
  }

  private void finish(
      Sequence sequence, FinishReason reason, @Nullable Integer stopToken, @Nullable String error) {
    LiveRequest request = sequence.live;
    sequence.finished = true;
    if (sequence.cache != null && reason != FinishReason.ERROR) {
      cache.keepTail(sequence.cache);
    }
    scheduler.remove(sequence);
    request.reasons.set(sequence.sample, reason);
    request.finishedSamples++;
    if (request.isFinished()) {
      request.queue.finishedAt(clock.getAsLong());
    }
    request.queue.offer(new TokenEvent.Finished(sequence.sample, reason, stopToken, error));
    if (request.isFinished()) {
      deliveries.forget(request);
      leave(request);
    }
  }

  private void leave(LiveRequest request) {
    live.remove(request);
    if (!request.scheduled) {
      gate.leaveQueue(request.request);
    }
    listener.onFinished(
        new EngineListener.RequestStats(
            request.request.id(),
            request.request.prompt().length,
            request.request.maxTokens(),
            request.queue.cachedTokens(),
            request.generatedTokens,
            request.preemptions,
            List.copyOf(request.reasons),
            request.queue.timing()));
    gate.leave();
  }

  private void onPreempted(Sequence sequence) {
    preemptions++;
    sequence.live.preemptions++;
    listener.onPreempted();
  }

  EngineStats stats() {
    KvStats kv = cache.stats();
    return new EngineStats(
        scheduler.running().size(),
        scheduler.waitingCount(),
        kv.usedBlocks(),
        kv.cachedBlocks(),
        kv.totalBlocks(),
        kv.usedBytes(),
        kv.cachedBytes(),
        kv.copyBytes(),
        kv.tailBytes(),
        kv.budgetBytes(),
        kv.queryTokens(),
        kv.hitTokens(),
        preemptions,
        promptTokens,
        generatedTokens,
        steps,
        gate.rejected(),
        kv.coolings(),
        kv.evictedBlocks(),
        kv.formats(),
        kv.tiers(),
        runner.codecStats());
  }

  /// The cache, block by block.
  CachePicture picture() {
    return cache.picture();
  }

  /// Hands what later prompts may need to the tier below, where the next process finds it.
  ///
  /// @return slabs that are there now
  int lower(Duration limit) throws InterruptedException {
    return cache.lower(limit);
  }

  /// For when there is nothing to do.
  void rest() {
    cache.trim();
  }

  /// The requests that have not ended.
  Set<LiveRequest> live() {
    return live;
  }

  Scheduler scheduler() {
    return scheduler;
  }
}
