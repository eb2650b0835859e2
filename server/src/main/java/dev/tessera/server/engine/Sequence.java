package dev.tessera.server.engine;

import dev.tessera.kernels.SampleRequest;
import dev.tessera.kvcache.HashChain;
import dev.tessera.kvcache.SequenceCache;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// One sample of a request: its tokens, and how far they are computed.
///
/// Waiting sequences have no blocks; running ones have a [SequenceCache]. A preempted sequence
/// waits again and keeps its tokens: the ones it has generated are then computed like a prompt.
final class Sequence {

  /// Who goes first: the smaller priority, then the earlier arrival.
  static final Comparator<Sequence> ORDER =
      Comparator.<Sequence>comparingLong(sequence -> sequence.live.request.priority())
          .thenComparingLong(sequence -> sequence.live.arrival)
          .thenComparingInt(sequence -> sequence.sample);

  final LiveRequest live;
  final int sample;
  final HashChain chain;
  private final SamplingState sampling;
  private int[] tokens;
  private int length;
  private int scoredTokens; // prompt tokens behind the first whose scores are out
  @Nullable SequenceCache cache;
  int recallsLeft = Recalls.ATTEMPTS; // until it is admitted
  boolean finished;
  long lastToken; // when the last token came out, 0 before the first

  /// @param endTokens tokens that end it, the request's own included
  Sequence(LiveRequest live, int sample, Set<Integer> endTokens) {
    GenerationRequest request = live.request;
    this.live = live;
    this.sample = sample;
    this.chain = sample == 0 ? live.chain : live.chain.copy();
    this.tokens = request.prompt().clone();
    this.length = tokens.length;
    this.sampling =
        new SamplingState(
            request.sampling(), live.seed, sample, tokens, request.minTokens(), endTokens);
  }

  int[] tokens() {
    return tokens;
  }

  /// Tokens of prompt and output.
  int length() {
    return length;
  }

  int promptTokens() {
    return live.request.prompt().length;
  }

  int outputTokens() {
    return length - promptTokens();
  }

  int computedTokens() {
    return cache == null ? 0 : cache.computedTokens();
  }

  /// Tokens that are known and not computed yet.
  int remainingTokens() {
    return targetTokens() - computedTokens();
  }

  /// A request for no tokens needs no logits behind its prompt.
  private int targetTokens() {
    if (live.request.maxTokens() > 0) {
      return length;
    }
    return scoresPrompt() ? length - 1 : 0;
  }

  /// Whether the prompt's own tokens are to be scored: then every one must be computed.
  boolean scoresPrompt() {
    return sample == 0 && live.request.sampling().promptLogprobs() >= 0;
  }

  /// Whether some of the prompt's scores are not out yet.
  boolean isScoring() {
    return scoresPrompt() && scoredTokens < promptTokens() - 1;
  }

  /// The first of the last positions before `end` whose logits are wanted when the tokens from
  /// `first` to `end` are computed; `end` if none is.
  int firstLogit(int first, int end) {
    return Math.min(end, Math.max(first, isScoring() ? scoredTokens : length - 1));
  }

  /// What to do with the logits of a position.
  SampleRequest sampleRequest(int position, int logitRow) {
    return position + 1 < length
        ? sampling.score(logitRow, tokens[position + 1])
        : sampling.choose(logitRow, outputTokens());
  }

  /// Notes that the score of the prompt token behind `position` is out.
  void scored(int position) {
    scoredTokens = position + 1;
  }

  void append(int token) {
    if (length == tokens.length) {
      tokens = Arrays.copyOf(tokens, length + Math.max(64, length / 2));
    }
    tokens[length++] = token;
    sampling.append(token);
  }

  @Override
  public String toString() {
    return "%s/%d (%d of %d tokens computed)"
        .formatted(live.request.id(), sample, computedTokens(), length);
  }
}
