package dev.tessera.server.engine;

/// Random numbers by counting instead of by state: the draw for a token depends on the seed, the
/// sample and the token's place in the output, and on nothing that happened in between.
///
/// The mixing function is the finaliser of SplitMix64 (Steele, Lea, Flood: "Fast Splittable
/// Pseudorandom Number Generators", 2014), applied once per key.
final class CounterRandom {
  private static final long GOLDEN = 0x9E3779B97F4A7C15L;

  private CounterRandom() {}

  /// A number in [0, 1) with 53 random bits.
  static double uniform(long seed, int sample, int position) {
    long bits = mix(mix(mix(seed + GOLDEN) + sample * GOLDEN) + position * GOLDEN);
    return (bits >>> 11) * 0x1.0p-53;
  }

  private static long mix(long z) {
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}
