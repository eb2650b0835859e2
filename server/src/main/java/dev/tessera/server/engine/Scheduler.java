package dev.tessera.server.engine;

import dev.tessera.kvcache.KvCache;
import dev.tessera.kvcache.PrefixMatch;
import dev.tessera.kvcache.TileShape;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.TreeSet;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// Decides how many tokens each sequence advances in the next step.
///
/// There is no prefill phase and no decode phase: every sequence has some tokens whose keys and
/// values are not yet in the cache, and a step computes as many of them as its *time* allows.
///
/// 1. Every running sequence with one token left gets it: a stream never waits for a prompt.
/// 2. Waiting sequences are admitted while there is memory for all that is known of them.
/// 3. The rest of the step goes to the sequences with more tokens left. One half is for the one
///    that has waited longest, so that none starves; the other half for those that are soonest
///    done, so that a short prompt does not wait behind a long one. What one half leaves, the other
///    takes.
///
/// Who goes first is a matter of priority, then of arrival. Where memory is short, the last of that
/// order loses its blocks, waits again, and is computed anew. But where blocks cool by temperature,
/// first all of them cool as far as they may, and whoever finds no room waits for it.
final class Scheduler {

  /// Room that an admitted sequence must find beyond its known tokens, so that it is not preempted
  /// as soon as it has begun.
  private static final int HEADROOM = TileShape.BLOCK_TOKENS;

  private final KvCache cache;
  private final StepCost cost;
  private final int maxSequences;
  private final StepPlanner.Limits limits;
  private final Recalls recalls;
  private final Consumer<Sequence> onPreempted;
  private final List<Sequence> running = new ArrayList<>(); // in order
  private final TreeSet<Sequence> waiting = new TreeSet<>(Sequence.ORDER);

  Scheduler(
      KvCache cache,
      StepCost cost,
      EngineConfig config,
      Recalls recalls,
      Consumer<Sequence> onPreempted) {
    this.cache = cache;
    this.recalls = recalls;
    this.cost = cost;
    this.maxSequences = config.maxSequences();
    this.limits =
        new StepPlanner.Limits(
            config.maxStepTokens(), EngineConfig.SCORING_ROWS, config.targetStepMillis() * 1e6);
    this.onPreempted = onPreempted;
  }

  List<Sequence> running() {
    return Collections.unmodifiableList(running);
  }

  int waitingCount() {
    return waiting.size();
  }

  boolean isIdle() {
    return running.isEmpty() && waiting.isEmpty();
  }

  void add(Sequence sequence) {
    waiting.add(sequence);
  }

  /// Takes a sequence out, wherever it is, and lets go of its blocks.
  void remove(Sequence sequence) {
    if (sequence.cache != null) {
      running.remove(sequence);
      cache.release(sequence.cache);
      sequence.cache = null;
    } else {
      waiting.remove(sequence);
      recalls.drop(sequence);
    }
  }

  /// Plans a step. It is empty where all that could be computed waits for the tier below.
  StepPlan schedule() {
    recalls.advance();
    StepPlanner plan = new StepPlanner(limits, cost);
    if (decode(plan)) {
      admit();
    }
    prefill(plan);
    return plan.build();
  }

  /// Grants a token to every sequence that has one left. False if that took others' memory, or has
  /// to wait for some: then nobody is to be admitted.
  private boolean decode(StepPlanner plan) {
    int before = waiting.size();
    for (int i = 0; i < running.size(); i++) { // oldest first
      Sequence sequence = running.get(i);
      if (sequence.remainingTokens() == 1) {
        grant(plan, sequence, 1);
      }
    }
    return waiting.size() == before && !cache.makesRoom();
  }

  /// Reserves blocks and plans as many tokens as there is room for, at least one; without any room,
  /// the youngest sequence, perhaps this very one, loses its blocks, unless coolings make room.
  private void grant(StepPlanner plan, Sequence sequence, int tokens) {
    while (sequence.cache != null && tokens > 0) {
      int planned = plan.tokens(sequence);
      int reserved = cache.reserve(sequence.cache, planned + tokens);
      if (reserved > planned) {
        plan.add(sequence, reserved - planned);
        return;
      }
      if (planned > 0 || cache.makesRoom()) {
        return;
      }
      plan.remove(running.getLast());
      preemptYoungest();
    }
  }

  /// Takes the blocks of the running sequence that would be missed least; it waits again.
  void preemptYoungest() {
    Sequence youngest = running.getLast();
    if (youngest.cache != null) {
      cache.keepTail(youngest.cache);
    }
    remove(youngest);
    youngest.recallsLeft = Recalls.ATTEMPTS;
    waiting.add(youngest);
    onPreempted.accept(youngest);
  }

  private void admit() {
    while (running.size() < maxSequences) {
      Sequence next = nextReady();
      if (next == null || !admit(next)) {
        return;
      }
    }
  }

  /// The first waiting sequence whose prompt is not just being computed by another sample, or on
  /// its way back from the tier below.
  private @Nullable Sequence nextReady() {
    for (Sequence sequence : waiting) {
      if (recalls.isOnItsWay(sequence)) {
        continue;
      }
      LiveRequest live = sequence.live;
      if (sequence.sample == 0 || live.promptPublished || live.sequences.getFirst().finished) {
        return sequence;
      }
    }
    return null;
  }

  private boolean admit(Sequence next) {
    PrefixMatch match =
        next.scoresPrompt()
            ? PrefixMatch.none(next.chain)
            : cache.match(next.chain, next.tokens(), next.length());
    if (!running.isEmpty()) {
      long needed = cache.bytesToOpen(match, next.length() + HEADROOM);
      for (Sequence sequence : running) {
        if (sequence.cache != null) {
          needed += cache.bytesMissing(sequence.cache, sequence.length() + HEADROOM);
        }
      }
      if (needed > cache.availableBytes() && needed > cache.reachableBytes()) {
        return false;
      }
    }
    if (recalls.isFull()) {
      return false;
    }
    if (recalls.begin(next)) {
      return true; // with the others, until it has come
    }
    waiting.remove(next);
    next.cache = cache.open(match);
    int place = Collections.binarySearch(running, next, Sequence.ORDER);
    running.add(-place - 1, next);
    return true;
  }

  private void prefill(StepPlanner plan) {
    List<Sequence> prefills = new ArrayList<>();
    for (Sequence sequence : running) {
      if (plan.tokens(sequence) == 0) {
        prefills.add(sequence);
      }
    }
    if (prefills.isEmpty()) {
      return;
    }
    Sequence oldest = prefills.removeFirst();
    grant(plan, oldest, plan.share(oldest, prefills.isEmpty() ? 1 : 0.5));
    prefills.sort(
        Comparator.<Sequence>comparingLong(sequence -> sequence.live.request.priority())
            .thenComparingInt(Sequence::remainingTokens));
    for (Sequence sequence : prefills) {
      grant(plan, sequence, plan.rest(sequence));
    }
    grant(plan, oldest, plan.rest(oldest));
  }
}
