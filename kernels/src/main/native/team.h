/* The threads of a step: units of work inside a phase, and a barrier between phases. */
#ifndef TESSERA_TEAM_H
#define TESSERA_TEAM_H

#include <stdatomic.h>
#include <stdint.h>

/* The units of one thread. Others take from it when their own are done. */
typedef struct {
  _Alignas(128) _Atomic int64_t next;
  int64_t end;
  _Atomic int32_t barrier; /* the last that the thread came to */
  _Atomic int32_t cpu;     /* where it ran then */
  int64_t moved_millis;    /* when it last changed its CPU on its own */
} ts_share;

typedef struct {
  int32_t threads;
  ts_share *shares; /* [threads] */
  _Alignas(128) _Atomic int32_t arrived;
  _Alignas(128) _Atomic int32_t generation; /* counts barriers; also the futex word */
  _Atomic int32_t sleepers;
  _Atomic int32_t broken;
} ts_team;

/* Waits until every thread has come here, then hands out units 0 .. units - 1: a contiguous run to
 * each thread. Returns 0 if a thread has failed and the step must be left. */
int ts_team_phase(ts_team *team, int32_t thread, int64_t units);

/* The next unit for this thread, its own first, or -1. */
int64_t ts_team_take(ts_team *team, int32_t thread);

/* Lets every waiting thread go: called for a thread that cannot come to the barrier. */
void ts_team_break(ts_team *team);

#endif
