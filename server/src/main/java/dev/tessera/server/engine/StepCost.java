package dev.tessera.server.engine;

/// Predicts how long a step takes, and learns from how long it took.
///
/// The model is linear: a constant (weights are read once per step), so much per row, and so much
/// per pair of query and key. After each step the three are corrected along the step's own features
/// (normalised least mean squares: Widrow and Hoff, 1960), so that a long run of pure decoding
/// corrects the constant and forgets nothing about what rows cost. The first steps say above all
/// how fast the machine and how large the model is: they scale all three.
final class StepCost {
  private static final double STEP = 0.3;
  private static final double ROWS = 64; // features are scaled to be of one order
  private static final double PAIRS = 64 * 1024;
  private static final double MOST_SURPRISE = 4;
  private static final int FIRST_STEPS = 6;
  private static final double MOST_SCALE = 16;

  // Nanoseconds. The guess is on the slow side, so that the first step is not too long by far.
  private double base = 2e6;
  private double perRows = 100e6;
  private double perPairs = 1e6;
  private int steps;

  /// Pairs of query and key in a chunk.
  static long attended(int first, int tokens) {
    return (long) tokens * first + (long) tokens * (tokens + 1) / 2;
  }

  /// Nanoseconds of a step with nothing in it.
  double base() {
    return base;
  }

  /// Nanoseconds that a chunk adds to a step.
  double of(int first, int tokens) {
    return perRows * tokens / ROWS + perPairs * attended(first, tokens) / PAIRS;
  }

  /// Tokens of a chunk at `first` that cost no more than so many nanoseconds.
  int tokensWithin(double nanos, int first) {
    if (nanos <= 0) {
      return 0;
    }
    // a n² + b n = nanos, with the chunk's own triangle of pairs in a.
    double a = perPairs / PAIRS / 2;
    double b = perRows / ROWS + perPairs / PAIRS * (first + 0.5);
    double n = 2 * nanos / (b + Math.sqrt(b * b + 4 * a * nanos));
    return n < Integer.MAX_VALUE ? (int) n : Integer.MAX_VALUE;
  }

  /// Learns from a step.
  void observe(int rows, long attended, long nanos) {
    double x = rows / ROWS;
    double y = attended / PAIRS;
    double predicted = base + perRows * x + perPairs * y;
    if (steps < FIRST_STEPS) {
      steps++;
      scale(Math.clamp(nanos / predicted, 1 / MOST_SCALE, MOST_SCALE));
      return;
    }
    // A pause of the machine is not the price of the rows that happened to be in the step.
    double error = Math.min((double) nanos, MOST_SURPRISE * predicted) - predicted;
    double gain = STEP * error / (1 + x * x + y * y);
    base = Math.max(1e3, base + gain);
    perRows = Math.max(1e2, perRows + gain * x);
    perPairs = Math.max(1e1, perPairs + gain * y);
  }

  private void scale(double factor) {
    base *= factor;
    perRows *= factor;
    perPairs *= factor;
  }
}
