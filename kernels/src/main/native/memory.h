/* Large blocks of zeroed memory that cost nothing until they are written. */
#ifndef TESSERA_MEMORY_H
#define TESSERA_MEMORY_H

#include <stdint.h>

/* Address space of `bytes`, or null. Memory is taken when a page is first written. */
void *ts_memory_reserve(int64_t bytes);

/* Gives back the whole pages within [at, at + bytes); they read as zeros afterwards. */
void ts_memory_discard(void *at, int64_t bytes);

void ts_memory_release(void *at, int64_t bytes);

#endif
