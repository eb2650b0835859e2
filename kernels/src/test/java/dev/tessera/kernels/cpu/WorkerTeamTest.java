package dev.tessera.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
final class WorkerTeamTest {

  @Test
  void everyWorkerWorksOnceARound() {
    try (var team = new WorkerTeam(3)) {
      var counts =
          new AtomicInteger[] {new AtomicInteger(), new AtomicInteger(), new AtomicInteger()};
      for (int round = 1; round <= 1000; round++) {
        team.run(worker -> counts[worker].incrementAndGet());
        for (AtomicInteger count : counts) {
          assertEquals(round, count.get());
        }
      }
    }
  }

  @Test
  void aSleepingTeamWakesUp() throws InterruptedException {
    try (var team = new WorkerTeam(2)) {
      var threads = ConcurrentHashMap.<Thread>newKeySet();
      team.run(worker -> threads.add(Thread.currentThread()));
      Thread helper =
          threads.stream().filter(t -> t != Thread.currentThread()).findAny().orElseThrow();
      while (helper.getState() != Thread.State.WAITING) {
        Thread.sleep(1);
      }
      var workers = ConcurrentHashMap.<Integer>newKeySet();
      team.run(workers::add);
      assertEquals(Set.of(0, 1), workers);
    }
  }

  @Test
  void theCallerIsWorkerZero() {
    try (var team = new WorkerTeam(1)) {
      var thread = new Thread[1];
      team.run(worker -> thread[worker] = Thread.currentThread());
      assertSame(Thread.currentThread(), thread[0]);
    }
  }

  @Test
  void aWorkersFailureReachesTheCaller() {
    var failure = new IllegalArgumentException("broken");
    try (var team = new WorkerTeam(2)) {
      for (int failing = 0; failing < 2; failing++) {
        int who = failing;
        var thrown =
            assertThrows(
                IllegalStateException.class,
                () ->
                    team.run(
                        worker -> {
                          if (worker == who) {
                            throw failure;
                          }
                        }));
        assertSame(failure, thrown.getCause());
      }
      var done = new AtomicInteger();
      team.run(worker -> done.incrementAndGet());
      assertEquals(2, done.get());
    }
  }

  @Test
  void closingEndsItsThreads() {
    var threads = ConcurrentHashMap.<Thread>newKeySet();
    try (var team = new WorkerTeam(3)) {
      team.run(worker -> threads.add(Thread.currentThread()));
    }
    threads.remove(Thread.currentThread());
    assertEquals(2, threads.size());
    assertTrue(threads.stream().noneMatch(Thread::isAlive));
  }
}
