package dev.tessera.kernels.testing;

/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers in every language.
public final class SplitMix {

  private long state;

  public SplitMix(long seed) {
    state = seed;
  }

  public long next() {
    state += 0x9e3779b97f4a7c15L;
    long z = (state ^ (state >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 31);
  }

  /// Uniform from 0 to 1.
  public double uniform() {
    return (next() >>> 11) * 0x1p-53;
  }

  /// Nearly Gaussian, by additions alone: the sum of twelve uniform numbers.
  public double gaussian() {
    double sum = -6;
    for (int i = 0; i < 12; i++) {
      sum += uniform();
    }
    return sum;
  }
}
