package dev.tessera.kernels.sampling;

import dev.tessera.kernels.SampleOutcome;
import dev.tessera.kernels.SampleOutcome.Broken;
import dev.tessera.kernels.SampleOutcome.Chosen;
import dev.tessera.kernels.SampleRequest;

/// Turns a [SampleRequest] and a row of logits into a token.
///
/// The draw inverts the cumulative distribution at the request's `uniform`. With a truncation
/// (min-p, top-k, top-p) the tokens stand in the order of their logits, the lower id first among
/// equals; without one they stand in the order of their ids, which needs no sorting. Either way the
/// outcome is a function of the row and the request alone.
///
/// Not for use by several threads at once: it owns scratch memory, and edits rows while it reads
/// them.
public final class Sampler {

  private static final int[] NO_TOKENS = {};
  private static final float[] NO_LOGPROBS = {};

  private final RowEdits edits = new RowEdits();
  private final Ranking ranking;
  private final double[] sums; // [ceil(vocabulary / 1024)]

  public Sampler(int vocabulary) {
    ranking = new Ranking(vocabulary);
    sums = new double[Math.ceilDiv(vocabulary, LogitsRow.CHUNK)];
  }

  /// Chooses or scores a token. The row is left as it was.
  public SampleOutcome sample(LogitsRow row, SampleRequest request) {
    boolean scores = request.topLogprobs() >= 0;
    float max = 0;
    double logSum = 0;
    if (scores) {
      int best = row.argMax();
      if (best == LogitsRow.HOLDS_NAN) {
        return new Broken("the logits hold NaN");
      }
      max = row.get(best);
      if (max == Float.NEGATIVE_INFINITY) {
        return new Broken("every logit is negative infinity");
      }
      logSum = Math.log(total(row, max, 1));
    }
    int token = request.scoredToken();
    if (token < 0) {
      edits.apply(row, request);
      try {
        int best = row.argMax();
        if (best == LogitsRow.HOLDS_NAN) {
          return new Broken("the logits hold NaN");
        }
        if (row.get(best) == Float.NEGATIVE_INFINITY) {
          return new Broken("bias and mask leave no token to choose");
        }
        token = request.temperature() == 0 ? best : draw(row, row.get(best), request);
      } finally {
        edits.undo(row);
      }
    }
    return scores
        ? score(row, max, logSum, token, request.topLogprobs())
        : new Chosen(token, Float.NaN, 0, NO_TOKENS, NO_LOGPROBS);
  }

  private Chosen score(LogitsRow row, float max, double logSum, int token, int wanted) {
    int count = wanted == 0 ? 0 : ranking.best(row, max, 1, Math.min(wanted, row.size()));
    var topTokens = new int[count];
    var topLogprobs = new float[count];
    for (int place = 0; place < count; place++) {
      topTokens[place] = ranking.token(place);
      topLogprobs[place] = logprob(row.get(topTokens[place]), max, logSum);
    }
    float logit = row.get(token);
    return new Chosen(
        token, logprob(logit, max, logSum), 1 + row.countAbove(logit), topTokens, topLogprobs);
  }

  private static float logprob(float logit, float max, double logSum) {
    return (float) ((logit == max ? 0 : (double) logit - max) - logSum);
  }

  private int draw(LogitsRow row, float max, SampleRequest request) {
    double temperature = request.temperature();
    boolean limitsCount = request.topK() > 0 && request.topK() < row.size();
    boolean limitsMass = request.topP() < 1;
    boolean limitsWeight = request.minP() > 0;
    int count;
    if (limitsCount) {
      count = ranking.best(row, max, temperature, request.topK());
    } else if (limitsWeight) {
      count = ranking.from(row, minimum(max, temperature, request.minP()));
    } else if (limitsMass) {
      double mass = request.topP() * total(row, max, temperature);
      count = ranking.heaviest(row, max, temperature, mass);
      return drawRanked(
          row, max, temperature, nucleus(row, max, temperature, count, mass), request);
    } else {
      return drawFromAll(row, max, temperature, request.uniform());
    }
    if (limitsCount && limitsWeight) {
      count = atLeast(row, count, minimum(max, temperature, request.minP()));
    }
    if (limitsMass) {
      double mass = request.topP() * weightOf(row, max, temperature, count);
      count = nucleus(row, max, temperature, count, mass);
    }
    return drawRanked(row, max, temperature, count, request);
  }

  /// The logit whose weight is `share` of the best token's.
  private static float minimum(float max, double temperature, float share) {
    return max == Float.POSITIVE_INFINITY
        ? max
        : (float) Math.min(max, max + temperature * Math.log(share));
  }

  /// How many of the ranked tokens reach a logit.
  private int atLeast(LogitsRow row, int count, float logit) {
    int kept = count;
    while (kept > 1 && row.get(ranking.token(kept - 1)) < logit) {
      kept--;
    }
    return kept;
  }

  /// How many of the ranked tokens it takes to reach a mass: a token stays while the better ones
  /// fall short of it (Holtzman et al., 2020). The best one always stays.
  private int nucleus(LogitsRow row, float max, double temperature, int count, double mass) {
    double better = 0;
    for (int place = 0; place < count; place++) {
      if (place > 0 && better >= mass) {
        return place;
      }
      better += weight(row.get(ranking.token(place)), max, temperature);
    }
    return count;
  }

  private double weightOf(LogitsRow row, float max, double temperature, int count) {
    double sum = 0;
    for (int place = 0; place < count; place++) {
      sum += weight(row.get(ranking.token(place)), max, temperature);
    }
    return sum;
  }

  private int drawRanked(
      LogitsRow row, float max, double temperature, int count, SampleRequest request) {
    double target = request.uniform() * weightOf(row, max, temperature, count);
    double passed = 0;
    for (int place = 0; place < count; place++) {
      passed += weight(row.get(ranking.token(place)), max, temperature);
      if (passed > target) {
        return ranking.token(place);
      }
    }
    return ranking.token(0); // only if rounding lifted the target to the whole sum
  }

  private int drawFromAll(LogitsRow row, float max, double temperature, double uniform) {
    double target = uniform * total(row, max, temperature);
    double passed = 0;
    int last = 0;
    for (int chunk = 0; chunk * LogitsRow.CHUNK < row.size(); chunk++) {
      if (passed + sums[chunk] <= target) {
        passed += sums[chunk];
        continue;
      }
      int end = Math.min(row.size(), (chunk + 1) * LogitsRow.CHUNK);
      for (int token = chunk * LogitsRow.CHUNK; token < end; token++) {
        double weight = weight(row.get(token), max, temperature);
        passed += weight;
        if (weight > 0) {
          last = token;
          if (passed > target) {
            return token;
          }
        }
      }
      // A backend's sum of a chunk may differ from this one in its last bits.
      return last;
    }
    return row.argMax(); // only if rounding lifted the target to the whole sum
  }

  private double total(LogitsRow row, float max, double temperature) {
    row.sumWeights(max, temperature, sums);
    double total = 0;
    for (double sum : sums) {
      total += sum;
    }
    return total;
  }

  /// See [LogitsRow].
  static double weight(float logit, float max, double temperature) {
    return logit == max ? 1 : Math.exp(((double) logit - max) / temperature);
  }
}
