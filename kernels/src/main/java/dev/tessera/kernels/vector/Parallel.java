package dev.tessera.kernels.vector;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/// Hands out units of work to a few platform threads, the caller among them. Whichever thread takes
/// a unit, its result is the same.
final class Parallel implements AutoCloseable {

  /// What is done with one unit.
  interface Work {
    /// @param worker from 0; names the scratch memory to use
    void run(int worker, int unit);
  }

  /// One round: every thread takes units until none is left.
  private static final class Round {
    final Work work;
    final int units;
    final AtomicInteger next = new AtomicInteger();
    final AtomicInteger busy;
    final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();

    Round(Work work, int units, int helpers) {
      this.work = work;
      this.units = units;
      this.busy = new AtomicInteger(helpers);
    }

    void take(int worker) {
      try {
        for (int unit = next.getAndIncrement(); unit < units; unit = next.getAndIncrement()) {
          work.run(worker, unit);
        }
      } catch (Throwable e) {
        failure.compareAndSet(null, e);
        next.set(units);
      }
    }
  }

  // Spinning bridges the gap from phase to phase; a waiting thread then gives way, and at last
  // sleeps, so that an idle or crowded machine is not held up.
  private static final int SPINS = 2_000;
  private static final int YIELDS = 200;

  private final Thread[] helpers; // [threads - 1]
  private volatile @Nullable Round current;
  private volatile boolean closed;

  Parallel(int threads) {
    helpers = new Thread[threads - 1];
    for (int i = 0; i < helpers.length; i++) {
      int worker = i + 1;
      helpers[i] = new Thread(() -> help(worker), "tessera-vector-" + worker);
      helpers[i].setDaemon(true);
      helpers[i].start();
    }
  }

  int threads() {
    return helpers.length + 1;
  }

  /// Runs every unit and returns when all are done.
  void forEach(int units, Work work) {
    if (units <= 1 || helpers.length == 0) {
      for (int unit = 0; unit < units; unit++) {
        work.run(0, unit);
      }
      return;
    }
    var round = new Round(work, units, helpers.length);
    current = round;
    for (Thread helper : helpers) {
      LockSupport.unpark(helper);
    }
    round.take(0);
    int waited = 0;
    while (round.busy.get() > 0) {
      pause(waited++, false);
    }
    Throwable failure = round.failure.get();
    if (failure != null) {
      throw new IllegalStateException("a worker of the vector backend failed", failure);
    }
  }

  private void help(int worker) {
    Round done = null;
    int waited = 0;
    while (!closed) {
      Round round = current;
      if (round == null || round == done) {
        pause(waited++, true);
        continue;
      }
      round.take(worker);
      round.busy.decrementAndGet();
      done = round;
      waited = 0;
    }
  }

  @SuppressWarnings("ThreadPriorityCheck") // giving way is a courtesy here, not a guarantee
  private static void pause(int waited, boolean maySleep) {
    if (waited < SPINS) {
      Thread.onSpinWait();
    } else if (!maySleep || waited < SPINS + YIELDS) {
      Thread.yield();
    } else {
      LockSupport.park();
    }
  }

  @Override
  public void close() {
    closed = true;
    for (Thread helper : helpers) {
      LockSupport.unpark(helper);
    }
  }
}
