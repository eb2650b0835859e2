#define _GNU_SOURCE
#include "team.h"

#include <sched.h>
#include <time.h>
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#define PAUSE() _mm_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif

/* A partner is usually a few microseconds away: spin. If it has lost its core, spinning only keeps
 * it from getting one: sleep. Never yield: Linux lets whoever does wait for the others' whole slices,
 * and beside busy processes a step's hundreds of barriers gave away a third of our time. */
enum { SPINS = 2000, SLEEP_NANOS = 2000000 };

/* Threads of one team on one CPU take turns where they should run together, each waiting at the
 * barrier for the other. Beside a busy process the kernel may leave them so (two here, one there is as
 * even as it gets), and our speed falls to a quarter: whoever waits for a thread of its own CPU goes to
 * one that the team does not use. Affinity is what it was afterwards. */
#if defined(__linux__)
enum { MOVE_MILLIS = 1 };

static int waits_for_own_cpu(const ts_team *team, int32_t thread) {
  const ts_share *own = &team->shares[thread];
  int32_t barrier = atomic_load(&own->barrier), cpu = atomic_load(&own->cpu);
  for (int32_t i = 0; i < team->threads; i++) {
    const ts_share *other = &team->shares[i];
    if (atomic_load(&other->barrier) != barrier && atomic_load(&other->cpu) == cpu) return 1;
  }
  return 0;
}

static void leave_shared_cpu(ts_team *team, int32_t thread) {
  if (!waits_for_own_cpu(team, thread)) return;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  int64_t millis = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
  if (millis - team->shares[thread].moved_millis < MOVE_MILLIS) return;
  team->shares[thread].moved_millis = millis;
  cpu_set_t allowed, unused;
  if (sched_getaffinity(0, sizeof allowed, &allowed)) return;
  unused = allowed;
  for (int32_t i = 0; i < team->threads; i++) CPU_CLR(atomic_load(&team->shares[i].cpu), &unused);
  if (!CPU_COUNT(&unused) || sched_setaffinity(0, sizeof unused, &unused)) return;
  sched_setaffinity(0, sizeof allowed, &allowed);
}

static int32_t current_cpu(void) { return sched_getcpu(); }

/* sched_setattr(2); glibc before 2.41 does not declare it. */
typedef struct {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
} ts_sched_attr;

/* Asks for turns of 0.1 ms instead of some milliseconds: the share of the CPU stays what it is, but a
 * thread that lost its core, and with it all that wait for it, goes on sooner. Kernels before 6.12 do
 * not listen, and nothing depends on it. */
static void prefer_short_turns(void) {
  static _Thread_local int asked;
  if (asked) return;
  asked = 1;
  ts_sched_attr attr = {0};
  if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) || attr.policy != SCHED_OTHER) return;
  attr.size = sizeof attr;
  attr.runtime = 100000;
  syscall(SYS_sched_setattr, 0, &attr, 0);
}
#else
static void leave_shared_cpu(ts_team *team, int32_t thread) { (void)team, (void)thread; }
static int32_t current_cpu(void) { return -1; }
static void prefer_short_turns(void) {}
#endif

static void sleep_while(ts_team *team, int32_t generation) {
  struct timespec limit = {0, SLEEP_NANOS};
  atomic_fetch_add(&team->sleepers, 1);
#if defined(__linux__)
  syscall(SYS_futex, &team->generation, FUTEX_WAIT_PRIVATE, generation, &limit, 0, 0);
#else
  limit.tv_nsec = 50000;
  if (atomic_load(&team->generation) == generation) nanosleep(&limit, 0);
#endif
  atomic_fetch_sub(&team->sleepers, 1);
}

static void release(ts_team *team) {
  atomic_fetch_add(&team->generation, 1);
#if defined(__linux__)
  if (atomic_load(&team->sleepers)) {
    syscall(SYS_futex, &team->generation, FUTEX_WAKE_PRIVATE, team->threads, 0, 0, 0);
  }
#endif
}

int ts_team_phase(ts_team *team, int32_t thread, int64_t units) {
  int32_t generation = atomic_load_explicit(&team->generation, memory_order_acquire);
  if (atomic_load_explicit(&team->broken, memory_order_relaxed)) return 0;
  int32_t threads = team->threads;
  atomic_store_explicit(&team->shares[thread].cpu, current_cpu(), memory_order_relaxed);
  atomic_store_explicit(&team->shares[thread].barrier, generation + 1, memory_order_relaxed);
  if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) == threads - 1) {
    for (int32_t i = 0; i < threads; i++) {
      atomic_store_explicit(&team->shares[i].next, units * i / threads, memory_order_relaxed);
      team->shares[i].end = units * (i + 1) / threads;
    }
    atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
    if (threads > 1) release(team);
    return 1;
  }
  for (int i = 0; atomic_load_explicit(&team->generation, memory_order_acquire) == generation; i++) {
    if (i < SPINS) {
      PAUSE();
    } else {
      if (i == SPINS) {
        prefer_short_turns();
        leave_shared_cpu(team, thread);
      }
      sleep_while(team, generation);
    }
  }
  return !atomic_load_explicit(&team->broken, memory_order_relaxed);
}

int64_t ts_team_take(ts_team *team, int32_t thread) {
  for (int32_t i = 0; i < team->threads; i++) {
    int32_t owner = thread + i < team->threads ? thread + i : thread + i - team->threads;
    ts_share *share = &team->shares[owner];
    if (atomic_load_explicit(&share->next, memory_order_relaxed) < share->end) {
      int64_t unit = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed);
      if (unit < share->end) return unit;
    }
  }
  return -1;
}

void ts_team_break(ts_team *team) {
  atomic_store(&team->broken, 1);
  release(team);
}
