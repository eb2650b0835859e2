#include <stdint.h>

/* The best instruction set that this CPU and its operating system have: 0 portable, 1 AVX2 with FMA
 * and F16C, 2 AVX-512 with VNNI. */
int32_t ts_cpu_level(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
#if !defined(__clang__) && __GNUC__ >= 11
  if (!__builtin_cpu_supports("f16c")) return 0;
#endif
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vnni")) {
    return 2;
  }
  return 1;
#else
  return 0;
#endif
}
