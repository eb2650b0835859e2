package dev.tessera.server.engine;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// Fills one step: what is in it, and what still fits into its time and its rows.
final class StepPlanner {

  /// Tokens of a chunk that are worth the trouble, and that a prompt gets even where the streams
  /// alone take all the time.
  static final int LEAST_CHUNK = 8;

  /// Of the target time, what prompts get even where the streams alone take all of it.
  private static final double PREFILL_FLOOR = 0.25;

  /// @param rows of a step
  /// @param scoringRows logits rows that scored prompts may take together
  /// @param nanos that a step should take
  record Limits(int rows, int scoringRows, double nanos) {}

  private final Limits limits;
  private final StepCost cost;
  private final Map<Sequence, Integer> chunks = new LinkedHashMap<>();
  private int rows;
  private int scoringRows;
  private double nanos;
  private double prefillNanos = -1; // fixed when the first prompt asks

  StepPlanner(Limits limits, StepCost cost) {
    this.limits = limits;
    this.cost = cost;
    this.nanos = cost.base();
  }

  /// Tokens of a sequence that are planned so far.
  int tokens(Sequence sequence) {
    return chunks.getOrDefault(sequence, 0);
  }

  void add(Sequence sequence, int tokens) {
    nanos += cost.of(sequence.computedTokens() + tokens(sequence), tokens);
    rows += tokens;
    scoringRows += sequence.isScoring() ? tokens : 0;
    chunks.merge(sequence, tokens, Integer::sum);
  }

  /// Takes a sequence out of the step again.
  void remove(Sequence sequence) {
    Integer tokens = chunks.remove(sequence);
    if (tokens != null) {
      nanos -= cost.of(sequence.computedTokens(), tokens);
      rows -= tokens;
      scoringRows -= sequence.isScoring() ? tokens : 0;
    }
  }

  /// Tokens of a sequence that fit into a share of the time that is left for prompts; some, if
  /// there is a row left.
  int share(Sequence sequence, double share) {
    int tokens = fit(sequence, share * nanosLeft());
    return Math.max(tokens, Math.min(LEAST_CHUNK, fit(sequence, Double.MAX_VALUE)));
  }

  /// Tokens of a sequence that fit into all that is left; none, if that is hardly worth it.
  int rest(Sequence sequence) {
    int tokens = fit(sequence, nanosLeft());
    int left = sequence.remainingTokens() - tokens(sequence);
    return tokens < Math.min(left, LEAST_CHUNK) ? 0 : tokens;
  }

  private double nanosLeft() {
    if (prefillNanos < 0) {
      prefillNanos = nanos + Math.max(limits.nanos() - nanos, PREFILL_FLOOR * limits.nanos());
    }
    return prefillNanos - nanos;
  }

  private int fit(Sequence sequence, double nanos) {
    int planned = tokens(sequence);
    int left = sequence.remainingTokens() - planned;
    int tokens = Math.min(left, limits.rows() - rows);
    if (sequence.isScoring()) {
      tokens = Math.min(tokens, limits.scoringRows() - scoringRows);
    }
    tokens = Math.min(tokens, cost.tokensWithin(nanos, sequence.computedTokens() + planned));
    // Whole groups of rows keep the kernels' tiles full.
    return tokens == left || tokens < LEAST_CHUNK ? tokens : tokens / LEAST_CHUNK * LEAST_CHUNK;
  }

  StepPlan build() {
    List<StepPlan.Chunk> list = new ArrayList<>(chunks.size());
    chunks.forEach(
        (sequence, tokens) ->
            list.add(new StepPlan.Chunk(sequence, sequence.computedTokens(), tokens)));
    return new StepPlan(list);
  }
}
