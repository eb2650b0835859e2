/* The passes over a row of logits that sampling needs (LogitsRow in Java). */
#include "simd.h"

/* The index of the largest of n floats, the lowest among equals, or -1 if one is NaN. */
int32_t TS(arg_max)(const float *x, int32_t n);

/* sums[c] = sum over chunk c of `chunk` floats of exp((x - max) / temperature), where x = max weighs
 * 1 even if it is infinite. `chunk` is a multiple of 16. */
void TS(sum_weights)(const float *x, int32_t n, float max, double temperature, int32_t chunk,
                     double *sums);

/* How many are larger than `limit`. */
int32_t TS(count_above)(const float *x, int32_t n, float limit);

/* The indices of the floats that are at least `threshold`, ascending; returns how many. */
int32_t TS(collect)(const float *x, int32_t n, float threshold, int32_t *indices);

int32_t TS(arg_max)(const float *x, int32_t n) {
  int32_t i = 0;
  vf largest = vf_all(-INFINITY);
  vi is_nan = {0};
  for (; i + LANES <= n; i += LANES) {
    vf v = vf_load(x + i);
    is_nan |= v != v;
    largest = vf_max(largest, v);
  }
  float best = -INFINITY;
  for (int lane = 0; lane < LANES; lane++) {
    if (is_nan[lane]) return -1;
    if (largest[lane] > best) best = largest[lane];
  }
  for (; i < n; i++) {
    if (x[i] != x[i]) return -1;
    if (x[i] > best) best = x[i];
  }
  for (i = 0; i < n; i++) {
    if (x[i] == best) return i;
  }
  return 0;
}

void TS(sum_weights)(const float *x, int32_t n, float max, double temperature, int32_t chunk,
                     double *sums) {
  vf largest = vf_all(max), inverse = vf_all((float)(1 / temperature));
  for (int32_t start = 0; start < n; start += chunk, sums++) {
    int32_t end = n - start < chunk ? n : start + chunk, i = start;
    vf even = vf_all(0), odd = vf_all(0);
    for (; i + LANES <= end; i += LANES) {
      vf v = vf_load(x + i), weight = vf_exp((v - largest) * inverse);
      weight = vf_select(v == largest, vf_all(1), weight);
      if (i & LANES) {
        odd = odd + weight;
      } else {
        even = even + weight;
      }
    }
    double sum = vf_sum(even + odd);
    for (; i < end; i++) sum += x[i] == max ? 1 : ts_exp1((x[i] - max) * inverse[0]);
    *sums = sum;
  }
}

int32_t TS(count_above)(const float *x, int32_t n, float limit) {
  int32_t i = 0, count = 0;
  vi counts = {0};
  for (; i + LANES <= n; i += LANES) counts -= vf_load(x + i) > limit;
  for (int lane = 0; lane < LANES; lane++) count += counts[lane];
  for (; i < n; i++) count += x[i] > limit;
  return count;
}

int32_t TS(collect)(const float *x, int32_t n, float threshold, int32_t *indices) {
  int32_t i = 0, count = 0;
  for (; i + LANES <= n; i += LANES) {
    if (vf_largest(vf_load(x + i)) < threshold) continue;
    for (int32_t j = i; j < i + LANES; j++) {
      if (x[j] >= threshold) indices[count++] = j;
    }
  }
  for (; i < n; i++) {
    if (x[i] >= threshold) indices[count++] = i;
  }
  return count;
}
