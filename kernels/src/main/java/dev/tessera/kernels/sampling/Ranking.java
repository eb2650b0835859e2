package dev.tessera.kernels.sampling;

import java.util.Arrays;

/// The best tokens of a row, best first: by logit, the lower id first among equals.
///
/// A vocabulary is never sorted as a whole where a few tokens hold nearly all the mass: tokens are
/// collected above a threshold, which is lowered until they suffice.
final class Ranking {

  /// Distances below the largest logit, in units of the temperature, at which to look. Tokens below
  /// the first weigh 3e-4 of the best.
  private static final double[] DEPTHS = {8, 20, Double.POSITIVE_INFINITY};

  private final int[] candidates; // [vocabulary]
  private long[] keys = new long[256]; // [candidates], ascending keys are descending logits

  Ranking(int vocabulary) {
    candidates = new int[vocabulary];
  }

  /// The `wanted` best tokens, or fewer if fewer are not banned.
  ///
  /// @return how many; [#token(int)] names them
  int best(LogitsRow row, float max, double temperature, int wanted) {
    int count = 0;
    for (double depth : DEPTHS) {
      count = row.collect(threshold(max, temperature, depth), candidates);
      if (count >= wanted) {
        break;
      }
    }
    count = dropBanned(row, count);
    int kept = Math.min(count, wanted);
    rank(row, count, kept);
    return kept;
  }

  /// The best tokens whose weights add up to `mass`, and perhaps some more.
  int heaviest(LogitsRow row, float max, double temperature, double mass) {
    int count = 0;
    for (double depth : DEPTHS) {
      count = row.collect(threshold(max, temperature, depth), candidates);
      double collected = 0;
      for (int i = 0; i < count; i++) {
        collected += Sampler.weight(row.get(candidates[i]), max, temperature);
      }
      if (collected >= mass) {
        break;
      }
    }
    count = dropBanned(row, count);
    rank(row, count, count);
    return count;
  }

  /// All tokens from a logit on.
  int from(LogitsRow row, float threshold) {
    int count = dropBanned(row, row.collect(threshold, candidates));
    rank(row, count, count);
    return count;
  }

  /// The token at a place, from 0 for the best.
  int token(int place) {
    return (int) keys[place];
  }

  private static float threshold(float max, double temperature, double depth) {
    return depth == Double.POSITIVE_INFINITY
        ? Float.NEGATIVE_INFINITY
        : (float) (max - temperature * depth);
  }

  private int dropBanned(LogitsRow row, int count) {
    int kept = 0;
    for (int i = 0; i < count; i++) {
      if (row.get(candidates[i]) != Float.NEGATIVE_INFINITY) {
        candidates[kept++] = candidates[i];
      }
    }
    return kept;
  }

  /// Sorts the `kept` best of `count` candidates to the front of the keys.
  private void rank(LogitsRow row, int count, int kept) {
    if (keys.length < count) {
      keys = new long[Math.max(count, 2 * keys.length)];
    }
    for (int i = 0; i < count; i++) {
      keys[i] = key(row.get(candidates[i]), candidates[i]);
    }
    if (kept < count) {
      partition(kept, count);
    }
    Arrays.sort(keys, 0, kept);
  }

  /// Ascending keys are descending logits, then ascending tokens.
  private static long key(float logit, int token) {
    int bits = Float.floatToIntBits(logit + 0.0f); // the two zeros are equals
    int ascending = bits ^ (bits >> 31 & Integer.MAX_VALUE);
    return (long) ~ascending << 32 | token;
  }

  /// Quickselect (Hoare, 1961): moves the `kept` smallest keys of the first `count` to the front.
  private void partition(int kept, int count) {
    int low = 0;
    int high = count - 1;
    while (low < high) {
      long pivot = keys[(low + high) >>> 1];
      int i = low;
      int j = high;
      while (i <= j) {
        while (keys[i] < pivot) {
          i++;
        }
        while (keys[j] > pivot) {
          j--;
        }
        if (i <= j) {
          long key = keys[i];
          keys[i++] = keys[j];
          keys[j--] = key;
        }
      }
      if (kept - 1 <= j) {
        high = j;
      } else if (kept - 1 >= i) {
        low = i;
      } else {
        return;
      }
    }
  }
}
