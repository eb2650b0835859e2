package dev.tessera.server.engine;

import dev.tessera.kernels.SampleRequest;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// How one sequence chooses its tokens: its request's parameters, its random stream, and the counts
/// that penalties need.
final class SamplingState {
  private final SamplingParameters parameters;
  private final long seed;
  private final int sample;
  private final int minTokens;
  private final int[] banningTokens; // bias while no end token may come
  private final float[] banningValues;
  private final @Nullable Map<Integer, Integer> seen; // token -> index, null without penalties
  private int[] seenTokens = new int[0];
  private int[] outputCounts = new int[0];

  /// @param endTokens tokens that may not come before `minTokens` others have
  SamplingState(
      SamplingParameters parameters,
      long seed,
      int sample,
      int[] prompt,
      int minTokens,
      Set<Integer> endTokens) {
    this.parameters = parameters;
    this.seed = seed;
    this.sample = sample;
    this.minTokens = minTokens;
    int[] ends = endTokens.stream().mapToInt(Integer::intValue).sorted().toArray();
    int biased = parameters.biasTokens().length;
    this.banningTokens = Arrays.copyOf(parameters.biasTokens(), biased + ends.length);
    this.banningValues = Arrays.copyOf(parameters.biasValues(), biased + ends.length);
    System.arraycopy(ends, 0, banningTokens, biased, ends.length);
    Arrays.fill(banningValues, biased, banningValues.length, Float.NEGATIVE_INFINITY);
    boolean penalises =
        parameters.presencePenalty() != 0
            || parameters.frequencyPenalty() != 0
            || parameters.repetitionPenalty() != 1;
    this.seen = penalises ? new HashMap<>() : null;
    if (seen != null) {
      for (int token : prompt) {
        seen.putIfAbsent(token, seen.size());
      }
      seenTokens = new int[seen.size()];
      outputCounts = new int[seen.size()];
      seen.forEach((token, index) -> seenTokens[index] = token);
    }
  }

  /// Counts a generated token.
  void append(int token) {
    if (seen == null) {
      return;
    }
    Integer index = seen.putIfAbsent(token, seen.size());
    if (index == null) {
      index = seenTokens.length;
      seenTokens = Arrays.copyOf(seenTokens, index + 1);
      outputCounts = Arrays.copyOf(outputCounts, index + 1);
      seenTokens[index] = token;
    }
    outputCounts[index]++;
  }

  /// How to choose the next token.
  ///
  /// @param outputs tokens generated so far
  SampleRequest choose(int logitRow, int outputs) {
    boolean bans = outputs < minTokens;
    return new SampleRequest(
        logitRow,
        parameters.temperature(),
        parameters.topK(),
        parameters.topP(),
        parameters.minP(),
        CounterRandom.uniform(seed, sample, outputs),
        seen == null
            ? null
            : new SampleRequest.Penalties(
                seenTokens,
                outputCounts,
                parameters.presencePenalty(),
                parameters.frequencyPenalty(),
                parameters.repetitionPenalty()),
        bans ? banningTokens : parameters.biasTokens(),
        bans ? banningValues : parameters.biasValues(),
        null,
        -1,
        parameters.topLogprobs());
  }

  /// How to score a token of the prompt.
  SampleRequest score(int logitRow, int token) {
    return new SampleRequest(
        logitRow,
        0,
        0,
        1,
        0,
        0,
        null,
        new int[0],
        new float[0],
        null,
        token,
        parameters.promptLogprobs());
  }
}
