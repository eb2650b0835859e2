package dev.tessera.kernels.sampling;

import java.util.Objects;

/// A row of logits in a Java array.
public final class HeapLogits implements LogitsRow {

  private final float[] logits;
  private final int first;
  private final int size;

  /// The row is `logits[first .. first + size)`.
  public HeapLogits(float[] logits, int first, int size) {
    Objects.checkFromIndexSize(first, size, logits.length);
    this.logits = logits;
    this.first = first;
    this.size = size;
  }

  @Override
  public int size() {
    return size;
  }

  @Override
  public float get(int token) {
    return logits[first + Objects.checkIndex(token, size)];
  }

  @Override
  public void set(int token, float logit) {
    logits[first + Objects.checkIndex(token, size)] = logit;
  }

  @Override
  public int argMax() {
    int best = 0;
    for (int token = 0; token < size; token++) {
      float logit = logits[first + token];
      if (Float.isNaN(logit)) {
        return HOLDS_NAN;
      }
      if (logit > logits[first + best]) {
        best = token;
      }
    }
    return best;
  }

  @Override
  public void sumWeights(float max, double temperature, double[] sums) {
    for (int start = 0; start < size; start += CHUNK) {
      double sum = 0;
      for (int token = start; token < Math.min(size, start + CHUNK); token++) {
        sum += Sampler.weight(logits[first + token], max, temperature);
      }
      sums[start / CHUNK] = sum;
    }
  }

  @Override
  public int countAbove(float logit) {
    int count = 0;
    for (int token = 0; token < size; token++) {
      if (logits[first + token] > logit) {
        count++;
      }
    }
    return count;
  }

  @Override
  public int collect(float threshold, int[] tokens) {
    int count = 0;
    for (int token = 0; token < size; token++) {
      if (logits[first + token] >= threshold) {
        tokens[count++] = token;
      }
    }
    return count;
  }
}
