package dev.tessera.kernels;

import java.util.Arrays;

/// Attention of one query over some of its keys, ready to be merged with the rest: `(m, d, o)`, the
/// largest score, the sum of `exp(score - m)`, and the values weighted by the same (Milakov and
/// Gimelshein, 2018; Dao et al., 2022).
///
/// Merging is associative and commutative up to rounding, with [#clear()]'s (−∞, 0, 0) as its
/// identity. Tiles, splits of a sequence, hot and cold parts all meet in this one operation. A
/// fixed order of merges gives the same bits every time.
public final class PartialAttention {

  private float max = Float.NEGATIVE_INFINITY;
  private float sum;
  private final float[] values; // [headDim]

  /// The empty part.
  public PartialAttention(int headDim) {
    values = new float[headDim];
  }

  /// The largest score; negative infinity for no keys.
  public float max() {
    return max;
  }

  /// The sum of `exp(score - max)`.
  public float sum() {
    return sum;
  }

  /// `[headDim]`, the values weighted by `exp(score - max)`.
  public float[] values() {
    return values;
  }

  /// Makes this the empty part again.
  public void clear() {
    max = Float.NEGATIVE_INFINITY;
    sum = 0;
    Arrays.fill(values, 0);
  }

  /// Merges another part into this one.
  public void merge(PartialAttention other) {
    merge(other.max, other.sum, other.values, 0);
  }

  /// Merges a part that lies in a larger array.
  ///
  /// @param otherValues `[headDim]` from `first`
  public void merge(float otherMax, float otherSum, float[] otherValues, int first) {
    if (otherMax == Float.NEGATIVE_INFINITY) {
      return; // also keeps two empty parts from meeting as −∞ − −∞ = NaN
    }
    float merged = Math.max(max, otherMax);
    float scale = factor(max, merged);
    float otherScale = factor(otherMax, merged);
    max = merged;
    sum = sum * scale + otherSum * otherScale;
    for (int i = 0; i < values.length; i++) {
      values[i] = values[i] * scale + otherValues[first + i] * otherScale;
    }
  }

  /// `exp(from - to)`, exactly 1 where nothing changes, so that an identity is one to the bit.
  private static float factor(float from, float to) {
    return from == to ? 1 : (float) Math.exp((double) from - to);
  }

  /// Writes the attention's result, `o / d`; zeros for no keys.
  public void write(float[] destination, int first) {
    float scale = sum == 0 ? 0 : 1 / sum;
    for (int i = 0; i < values.length; i++) {
      destination[first + i] = values[i] * scale;
    }
  }
}
