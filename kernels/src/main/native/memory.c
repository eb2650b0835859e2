#define _DEFAULT_SOURCE
#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

enum { HUGE_PAGE = 2 << 20 };

void *ts_memory_reserve(int64_t bytes) {
  void *at = mmap(0, (size_t)bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return 0;
#ifdef MADV_HUGEPAGE
  if (bytes >= 8 * HUGE_PAGE) madvise(at, (size_t)bytes, MADV_HUGEPAGE);
#endif
  return at;
}

void ts_memory_discard(void *at, int64_t bytes) {
  intptr_t page = sysconf(_SC_PAGESIZE), first = (intptr_t)at, end = first + bytes;
  first = (first + page - 1) / page * page;
  end = end / page * page;
  if (first < end) madvise((void *)first, (size_t)(end - first), MADV_DONTNEED);
}

void ts_memory_release(void *at, int64_t bytes) { munmap(at, (size_t)bytes); }
