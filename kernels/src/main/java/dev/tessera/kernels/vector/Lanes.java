package dev.tessera.kernels.vector;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/// The vector width of this machine, and functions that come out the same to the bit whether they
/// run interpreted or compiled: they are made of operations that IEEE 754 rounds in one way only.
/// (The library's own `EXP` is not: its compiled and its interpreted form differ.)
final class Lanes {

  static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  static final int COUNT = SPECIES.length();

  private static final float LOG2_E = 0x1.715476p0f;
  private static final float LN_2_HIGH = 0x1.63p-1f; // nine bits: n * LN_2_HIGH is exact
  private static final float LN_2_LOW = -0x1.bd0106p-13f;
  private static final float ROUND = 0x1.8p23f; // adding it leaves no bits behind the point
  private static final float SMALLEST = -87.3f; // exp of it is still a normal number
  private static final float LARGEST = 88.0f;

  private Lanes() {}

  static FloatVector load(float[] x, int at) {
    return FloatVector.fromArray(SPECIES, x, at);
  }

  /// `exp(x)` within two units in the last place; 0 below the normal numbers, for negative infinity
  /// too. Cody and Waite's reduction, then Taylor's polynomial on ±ln 2 / 2.
  static FloatVector exp(FloatVector x) {
    FloatVector clamped = x.max(SMALLEST).min(LARGEST);
    FloatVector shifted = clamped.fma(splat(LOG2_E), splat(ROUND));
    FloatVector n = shifted.sub(ROUND);
    FloatVector r = n.fma(splat(-LN_2_HIGH), clamped);
    r = n.fma(splat(-LN_2_LOW), r);
    FloatVector p = splat(1 / 5040f);
    p = p.fma(r, splat(1 / 720f));
    p = p.fma(r, splat(1 / 120f));
    p = p.fma(r, splat(1 / 24f));
    p = p.fma(r, splat(1 / 6f));
    p = p.fma(r, splat(1 / 2f));
    p = p.fma(r.mul(r), r).add(1);
    // The low bits of n + ROUND are n: shifted into the exponent they multiply by 2^n.
    var exponent = shifted.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
    FloatVector scaled = p.reinterpretAsInts().add(exponent).reinterpretAsFloats();
    return scaled.blend(0, x.compare(VectorOperators.LT, SMALLEST));
  }

  /// `tanh(x) = 1 - 2 / (exp(2x) + 1)`, within 2e-7.
  static FloatVector tanh(FloatVector x) {
    return splat(1).sub(splat(2).div(exp(x.add(x)).add(1)));
  }

  static FloatVector splat(float x) {
    return FloatVector.broadcast(SPECIES, x);
  }

  /// The sum of the lanes, the first lane first: `reduceLanes` may add in any order.
  static float sum(FloatVector x) {
    float sum = 0;
    for (int lane = 0; lane < COUNT; lane++) {
      sum += x.lane(lane);
    }
    return sum;
  }
}
