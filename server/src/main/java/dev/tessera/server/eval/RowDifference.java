package dev.tessera.server.eval;

/// How two predictions of one token differ.
///
/// @param divergence Kullback-Leibler divergence of the second from the first, in nats
/// @param agrees whether both have the same best token
/// @param exactLoss negative log probability of the true token, in the first
/// @param loss the same in the second
/// @param exactHit whether the true token is the best of the first
/// @param hit the same of the second
record RowDifference(
    double divergence,
    boolean agrees,
    double exactLoss,
    double loss,
    boolean exactHit,
    boolean hit) {

  static RowDifference of(float[] exact, float[] other, int target) {
    int exactBest = best(exact);
    int best = best(other);
    double exactMax = exact[exactBest];
    double max = other[best];
    double exactSum = 0;
    double sum = 0;
    double weighted = 0; // sum of p (x - y), not normalised
    for (int i = 0; i < exact.length; i++) {
      double p = Math.exp(exact[i] - exactMax);
      exactSum += p;
      sum += Math.exp(other[i] - max);
      weighted += p * (((double) exact[i] - exactMax) - ((double) other[i] - max));
    }
    double divergence = weighted / exactSum - Math.log(exactSum) + Math.log(sum);
    return new RowDifference(
        Math.max(0, divergence),
        exactBest == best,
        Math.log(exactSum) - (exact[target] - exactMax),
        Math.log(sum) - (other[target] - max),
        exactBest == target,
        best == target);
  }

  /// The likeliest token.
  static int best(float[] logits) {
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      if (logits[i] > logits[best]) {
        best = i;
      }
    }
    return best;
  }
}
