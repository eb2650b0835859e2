package dev.tessera.kernels.scalar;

import dev.tessera.kernels.ActivationFormat;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.Dequantizer;
import dev.tessera.kernels.QuantisedRow;
import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.Tensor;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// The operations of a decoder as textbooks write them, in double precision.
final class Textbook {

  private Textbook() {}

  /// `y[tokens][rows] = x[tokens][columns] · Wᵀ`. Every sum runs over the columns in order; only
  /// the loops over tokens and columns are exchanged, so that one dequantised row serves all
  /// tokens.
  ///
  /// @param activations what of x meets quantised weights
  static double[] multiply(Tensor weights, double[] x, int tokens, ActivationFormat activations) {
    int rows = weights.rows();
    int columns = weights.columns();
    if (QuantisedRow.holds(weights.type())) {
      x = activations.round(x, columns);
    }
    var transposed = new double[columns * tokens];
    for (int token = 0; token < tokens; token++) {
      for (int column = 0; column < columns; column++) {
        transposed[column * tokens + token] = x[token * columns + column];
      }
    }
    var dequantizer = new Dequantizer(weights);
    var row = new float[columns];
    var sums = new double[tokens];
    var y = new double[Math.multiplyExact(tokens, rows)];
    for (int r = 0; r < rows; r++) {
      dequantizer.row(r, row);
      Arrays.fill(sums, 0);
      for (int column = 0; column < columns; column++) {
        double weight = row[column];
        int first = column * tokens;
        for (int token = 0; token < tokens; token++) {
          sums[token] += weight * transposed[first + token];
        }
      }
      for (int token = 0; token < tokens; token++) {
        y[token * rows + r] = sums[token];
      }
    }
    return y;
  }

  /// Adds a bias to every row of x; nothing if there is none.
  static void addBias(double[] x, @Nullable Tensor bias) {
    if (bias == null) {
      return;
    }
    float[] b = Dequantizer.all(bias);
    for (int i = 0; i < x.length; i++) {
      x[i] += b[i % b.length];
    }
  }

  /// `x / sqrt(mean(x²) + epsilon) * weight` over every stretch of the weight's length (Zhang and
  /// Sennrich, 2019).
  static double[] rmsNorm(double[] x, float[] weight, double epsilon) {
    int width = weight.length;
    var y = new double[x.length];
    for (int first = 0; first < x.length; first += width) {
      double squares = 0;
      for (int i = 0; i < width; i++) {
        squares += x[first + i] * x[first + i];
      }
      double scale = 1 / Math.sqrt(squares / width + epsilon);
      for (int i = 0; i < width; i++) {
        y[first + i] = x[first + i] * scale * weight[i];
      }
    }
    return y;
  }

  /// Rotates one head, at `first`, to a position.
  static void rotate(double[] x, int first, RopeSpec rope, int position) {
    int pairs = rope.frequencies().length;
    for (int pair = 0; pair < pairs; pair++) {
      int a = first + (rope.pairing() == RopeSpec.Pairing.INTERLEAVED ? 2 * pair : pair);
      int b = rope.pairing() == RopeSpec.Pairing.INTERLEAVED ? a + 1 : a + pairs;
      double angle = position * rope.frequencies()[pair];
      double cos = Math.cos(angle) * rope.magnitude();
      double sin = Math.sin(angle) * rope.magnitude();
      double xa = x[a];
      double xb = x[b];
      x[a] = xa * cos - xb * sin;
      x[b] = xa * sin + xb * cos;
    }
  }

  /// `activation(gate) * up`
  static double[] gated(double[] gate, double[] up, DecoderSpec.Activation activation) {
    var y = new double[gate.length];
    for (int i = 0; i < y.length; i++) {
      y[i] = activate(gate[i], activation) * up[i];
    }
    return y;
  }

  private static double activate(double x, DecoderSpec.Activation activation) {
    return switch (activation) {
      case SILU -> x / (1 + Math.exp(-x));
      case GELU_TANH ->
          0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
    };
  }

  /// `cap * tanh(x / cap)`; x itself if the cap is 0.
  static double softCap(double x, double cap) {
    return cap == 0 ? x : cap * Math.tanh(x / cap);
  }

  static void add(double[] x, double[] y) {
    for (int i = 0; i < x.length; i++) {
      x[i] += y[i];
    }
  }

  static double[] toDoubles(float[] x) {
    var y = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = x[i];
    }
    return y;
  }

  static float[] toFloats(double[] x) {
    var y = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = (float) x[i];
    }
    return y;
  }
}
