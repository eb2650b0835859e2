package dev.tessera.kernels.vector;

import dev.tessera.kernels.DecoderSpec.Activation;
import dev.tessera.kernels.RopeSpec;
import jdk.incubator.vector.FloatVector;

/// The operations on one row of activations. Sums run in a fixed order: a vector of partial sums,
/// then its lanes, then the rest.
final class RowMath {

  private static final int LANES = Lanes.COUNT;

  private RowMath() {}

  /// `y = x / sqrt(mean(x²) + epsilon) * weight`; y may be x.
  static void rmsNorm(float[] x, int xAt, float[] weight, float epsilon, float[] y, int yAt) {
    int width = weight.length;
    int whole = Lanes.SPECIES.loopBound(width);
    FloatVector squares = FloatVector.zero(Lanes.SPECIES);
    for (int i = 0; i < whole; i += LANES) {
      FloatVector v = Lanes.load(x, xAt + i);
      squares = v.fma(v, squares);
    }
    float sum = Lanes.sum(squares);
    for (int i = whole; i < width; i++) {
      sum += x[xAt + i] * x[xAt + i];
    }
    float scale = (float) (1 / Math.sqrt((double) sum / width + epsilon));
    for (int i = 0; i < width; i++) {
      y[yAt + i] = x[xAt + i] * scale * weight[i];
    }
  }

  static void add(float[] x, int xAt, float[] y, int yAt, int width) {
    for (int i = 0; i < width; i++) {
      x[xAt + i] += y[yAt + i];
    }
  }

  /// `gate = activation(gate) * up`, over whole vectors: a row has room for them.
  static void gated(float[] gate, float[] up, int at, int width, Activation activation) {
    for (int i = at; i < at + width; i += LANES) {
      FloatVector x = Lanes.load(gate, i);
      FloatVector activated =
          switch (activation) {
            case SILU -> x.div(Lanes.exp(x.neg()).add(1));
            case GELU_TANH -> geluTanh(x);
          };
      activated.mul(Lanes.load(up, i)).intoArray(gate, i);
    }
  }

  /// `x / 2 * (1 + tanh(u)) = x - x / (exp(2u) + 1)`
  private static FloatVector geluTanh(FloatVector x) {
    float root = (float) Math.sqrt(2 / Math.PI);
    FloatVector cubic = x.mul(x).mul(x).mul(0.044715f).add(x);
    FloatVector twice = cubic.mul(2 * root);
    return x.sub(x.div(Lanes.exp(twice).add(1)));
  }

  static void softCap(float[] x, int at, int width, float cap) {
    for (int i = at; i < at + width; i += LANES) {
      Lanes.tanh(Lanes.load(x, i).div(cap)).mul(cap).intoArray(x, i);
    }
  }

  /// Fills the cosines and sines of one position, `[pairs]` from `at`.
  static void angles(RopeSpec rope, int position, float[] cos, float[] sin, int at) {
    for (int pair = 0; pair < rope.frequencies().length; pair++) {
      double angle = position * rope.frequencies()[pair];
      cos[at + pair] = (float) (Math.cos(angle) * rope.magnitude());
      sin[at + pair] = (float) (Math.sin(angle) * rope.magnitude());
    }
  }

  /// Rotates the head at `first`.
  static void rotate(float[] x, int first, RopeSpec rope, float[] cos, float[] sin, int at) {
    int pairs = rope.frequencies().length;
    boolean split = rope.pairing() == RopeSpec.Pairing.SPLIT;
    int stride = split ? 1 : 2;
    int distance = split ? pairs : 1;
    for (int pair = 0; pair < pairs; pair++) {
      int a = first + pair * stride;
      float xa = x[a];
      float xb = x[a + distance];
      x[a] = xa * cos[at + pair] - xb * sin[at + pair];
      x[a + distance] = xa * sin[at + pair] + xb * cos[at + pair];
    }
  }
}
