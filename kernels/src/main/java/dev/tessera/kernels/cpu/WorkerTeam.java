package dev.tessera.kernels.cpu;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/// The threads of a CPU backend: the caller, as worker 0, and dedicated platform threads (a call
/// into C would pin a virtual thread's carrier, and a spinning one would starve the others).
///
/// Between two pieces of work a worker spins for the time that an engine needs from step to step,
/// giving way to whoever else wants its core, and sleeps after that: an idle server costs nothing.
///
/// One thread at a time may call.
public final class WorkerTeam implements AutoCloseable {

  /// What every worker does, each with its own number.
  public interface Work {
    void run(int worker);
  }

  private static final int SPINS = 500;
  private static final long PATIENCE_NANOS = 300_000;

  private final Member[] members; // [threads - 1]
  private final AtomicInteger running = new AtomicInteger();
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private volatile @Nullable Thread waiting;

  /// Starts `threads - 1` threads.
  public WorkerTeam(int threads) {
    members = new Member[threads - 1];
    for (int i = 0; i < members.length; i++) {
      members[i] = new Member(i + 1);
      members[i].thread.start();
    }
  }

  /// How many compute, the caller included.
  public int threads() {
    return members.length + 1;
  }

  /// Runs `work` on every worker, the caller included.
  ///
  /// @throws IllegalStateException if a worker failed, with its exception as the cause
  public void run(Work work) {
    start(work);
    finish(work);
  }

  /// Starts `work` on the other workers. [#finish(Work)] must follow.
  void start(Work work) {
    failure.set(null);
    running.set(members.length);
    for (Member member : members) {
      member.give(work);
    }
  }

  /// Does the caller's share and waits for the others.
  void finish(Work work) {
    try {
      work.run(0);
    } catch (Throwable e) {
      failure.compareAndSet(null, e);
    }
    waiting = Thread.currentThread();
    pause(() -> running.get() == 0);
    waiting = null;
    Throwable cause = failure.get();
    if (cause != null) {
      throw new IllegalStateException("a worker of the CPU backend failed: " + cause, cause);
    }
  }

  private interface Condition {
    boolean holds();
  }

  /// Spins, gives way, sleeps, until the condition holds. Whoever makes it true unparks the thread.
  @SuppressWarnings("ThreadPriorityCheck") // giving way is a courtesy here, not a guarantee
  private static void pause(Condition condition) {
    for (int i = 0; i < SPINS; i++) {
      if (condition.holds()) {
        return;
      }
      Thread.onSpinWait();
    }
    long deadline = System.nanoTime() + PATIENCE_NANOS;
    while (!condition.holds()) {
      if (System.nanoTime() - deadline < 0) {
        Thread.yield();
      } else {
        LockSupport.park();
      }
    }
  }

  @Override
  public void close() {
    for (Member member : members) {
      member.closed = true;
      LockSupport.unpark(member.thread);
    }
    for (Member member : members) {
      boolean interrupted = false;
      while (member.thread.isAlive()) {
        try {
          member.thread.join();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private final class Member {

    private final int worker;
    private final Thread thread;
    private volatile @Nullable Work work;
    private volatile boolean closed;

    Member(int worker) {
      this.worker = worker;
      this.thread = new Thread(this::loop, "tessera-worker-" + worker);
      thread.setDaemon(true);
    }

    void give(Work given) {
      work = given;
      LockSupport.unpark(thread);
    }

    private void loop() {
      while (true) {
        pause(() -> work != null || closed);
        Work given = work;
        if (given == null) {
          return;
        }
        work = null;
        try {
          given.run(worker);
        } catch (Throwable e) {
          failure.compareAndSet(null, e);
        }
        if (running.decrementAndGet() == 0) {
          Thread caller = waiting;
          if (caller != null) {
            LockSupport.unpark(caller);
          }
        }
      }
    }
  }
}
