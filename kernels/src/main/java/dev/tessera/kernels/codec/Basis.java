package dev.tessera.kernels.codec;

import dev.tessera.kernels.Shapes;
import java.util.Arrays;

/// The basis in which a tile's vectors are coded. Keys are scored in it, with the query turned into
/// it once; values are summed in it, and the sum is turned back once.
public sealed interface Basis {

  /// Elements of a vector.
  int headDim();

  /// The channels of a vector, in single precision: the bits of a tile depend on the order of these
  /// operations.
  ///
  /// @param x `[headDim]`
  /// @return `[headDim]`
  float[] forward(float[] x);

  /// The vector with these channels.
  ///
  /// @param y `[headDim]`
  /// @return `[headDim]`
  double[] inverse(double[] y);

  /// The vector with these channels, in single precision.
  ///
  /// @param y `[headDim]`, or longer
  /// @return `[headDim]`
  float[] inverse(float[] y);

  /// What a query's dot product with channels is taken with, in single precision.
  ///
  /// @param q `[headDim]`
  /// @return `[headDim]`
  float[] query(float[] q);

  /// What a query's dot product with channels is taken with: `q · x = query(q) · forward(x)`.
  ///
  /// @param q `[headDim]`
  /// @return `[headDim]`
  double[] query(double[] q);

  /// A fixed orthogonal mix of all channels: signs, then a normalised Walsh-Hadamard transform, in
  /// blocks of powers of two where the head dimension is not one (80 = 64 + 16).
  record Hadamard(int headDim) implements Basis {

    private static final long SEED = 0x7e55e7aL;

    /// The signs of the channels, `[headDim]`, the same for every model: bit 63 of the outputs of
    /// SplitMix64.
    public static float[] signs(int headDim) {
      var signs = new float[headDim];
      long state = SEED;
      for (int i = 0; i < headDim; i++) {
        state += 0x9e3779b97f4a7c15L;
        long z = (state ^ (state >>> 30)) * 0xbf58476d1ce4e5b9L;
        z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
        signs[i] = (z ^ (z >>> 31)) < 0 ? -1 : 1;
      }
      return signs;
    }

    /// The largest power of two that fits into what is left of the channels.
    private int block(int first) {
      return Integer.highestOneBit(headDim - first);
    }

    @Override
    public float[] forward(float[] x) {
      float[] signs = signs(headDim);
      var y = new float[headDim];
      for (int i = 0; i < headDim; i++) {
        y[i] = x[i] * signs[i];
      }
      mix(y);
      return y;
    }

    /// The normalised Walsh-Hadamard transform in place, by butterflies.
    private void mix(float[] y) {
      for (int first = 0; first < headDim; first += block(first)) {
        int block = block(first);
        for (int half = 1; half < block; half *= 2) {
          for (int i = first; i < first + block; i++) {
            if (((i - first) & half) == 0) {
              float a = y[i];
              float b = y[i + half];
              y[i] = a + b;
              y[i + half] = a - b;
            }
          }
        }
        float norm = (float) (1 / Math.sqrt(block));
        for (int i = first; i < first + block; i++) {
          y[i] *= norm;
        }
      }
    }

    @Override
    public float[] inverse(float[] y) {
      float[] signs = signs(headDim);
      float[] x = Arrays.copyOf(y, headDim);
      mix(x);
      for (int i = 0; i < headDim; i++) {
        x[i] *= signs[i];
      }
      return x;
    }

    @Override
    public float[] query(float[] q) {
      return forward(q);
    }

    @Override
    public double[] inverse(double[] y) {
      return signed(mixed(y)); // the mix is symmetric and its own inverse
    }

    @Override
    public double[] query(double[] q) {
      return mixed(signed(q));
    }

    private double[] signed(double[] x) {
      float[] signs = signs(headDim);
      var y = new double[headDim];
      for (int i = 0; i < headDim; i++) {
        y[i] = x[i] * signs[i];
      }
      return y;
    }

    /// The normalised Walsh-Hadamard transform, as its definition has it.
    private double[] mixed(double[] x) {
      var y = new double[headDim];
      for (int first = 0; first < headDim; first += block(first)) {
        int block = block(first);
        for (int i = 0; i < block; i++) {
          double sum = 0;
          for (int j = 0; j < block; j++) {
            sum += Integer.bitCount(i & j) % 2 == 0 ? x[first + j] : -x[first + j];
          }
          y[first + i] = sum / Math.sqrt(block);
        }
      }
      return y;
    }
  }

  /// The channels as they are.
  record Identity(int headDim) implements Basis {

    @Override
    public float[] forward(float[] x) {
      return x.clone();
    }

    @Override
    public float[] inverse(float[] y) {
      return Arrays.copyOf(y, headDim);
    }

    @Override
    public float[] query(float[] q) {
      return q.clone();
    }

    @Override
    public double[] inverse(double[] y) {
      return y.clone();
    }

    @Override
    public double[] query(double[] q) {
      return q.clone();
    }
  }

  /// A basis learned for one layer and KV head. It need not be orthogonal.
  ///
  /// @param forward A, `[headDim][headDim]`: a vector x is coded as `y = x · A`
  /// @param query the inverse of A, `[headDim][headDim]`: `x = y · query`, and a query is turned by
  ///   `query · q`, because `q · x = (query · q) · y`
  record Learned(int headDim, float[] forward, float[] query) implements Basis {
    public Learned {
      Shapes.require("forward basis", forward.length, headDim, headDim);
      Shapes.require("inverse basis", query.length, headDim, headDim);
    }

    @Override
    public float[] forward(float[] x) {
      var y = new float[headDim];
      for (int i = 0; i < headDim; i++) {
        for (int j = 0; j < headDim; j++) {
          y[j] += x[i] * forward[i * headDim + j];
        }
      }
      return y;
    }

    @Override
    public float[] inverse(float[] y) {
      var x = new float[headDim];
      for (int j = 0; j < headDim; j++) {
        for (int i = 0; i < headDim; i++) {
          x[i] += y[j] * query[j * headDim + i];
        }
      }
      return x;
    }

    @Override
    public float[] query(float[] q) {
      var turned = new float[headDim];
      for (int j = 0; j < headDim; j++) {
        for (int i = 0; i < headDim; i++) {
          turned[j] += query[j * headDim + i] * q[i];
        }
      }
      return turned;
    }

    @Override
    public double[] inverse(double[] y) {
      var x = new double[headDim];
      for (int j = 0; j < headDim; j++) {
        for (int i = 0; i < headDim; i++) {
          x[i] += y[j] * query[j * headDim + i];
        }
      }
      return x;
    }

    @Override
    public double[] query(double[] q) {
      var turned = new double[headDim];
      for (int j = 0; j < headDim; j++) {
        for (int i = 0; i < headDim; i++) {
          turned[j] += query[j * headDim + i] * q[i];
        }
      }
      return turned;
    }
  }
}
