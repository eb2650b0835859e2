package dev.tessera.server.engine;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.BitSet;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/// The events of one request on their way from the engine to its reader.
///
/// Bounded, but the engine never waits: what does not fit is refused. The last event of a sample
/// always fits.
///
/// The reader waits without a time limit of its own, and a timer ends the wait: a virtual thread
/// that parks for some time makes another thread set an alarm and another cancel it, for each
/// token, while a timer that finds the deadline moved just sleeps on.
final class TokenQueue implements Generation {

  /// Every sample, where a sample is asked for.
  static final int ALL = -1;

  private final int samples;
  private final int capacity;
  private final long accepted;
  private final Ending ending;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final ArrayDeque<TokenEvent> events = new ArrayDeque<>();
  private final BitSet ended = new BitSet(); // samples whose last event was put in
  private int endsToRead;
  private long deadline; // of the reader that waits
  private boolean waiting;
  private boolean expired; // the deadline has passed
  private @Nullable Future<?> timer; // runs down at timerEnds, not after the deadline
  private long timerEnds;
  private volatile int cachedTokens = -1;
  private volatile long scheduled;
  private volatile long firstToken;
  private volatile long finished;

  /// Asks the engine to end a sample, or [#ALL].
  @FunctionalInterface
  interface Ending {
    void end(int sample, FinishReason reason);
  }

  TokenQueue(int samples, int capacity, long accepted, Ending ending) {
    this.samples = samples;
    this.capacity = capacity;
    this.accepted = accepted;
    this.ending = ending;
    this.endsToRead = samples;
  }

  /// Puts an event in; false if the reader has left too many unread. The reader sees it when it
  /// looks or is woken ([#wake]), the last one of a sample at once.
  boolean offer(TokenEvent event) {
    lock.lock();
    try {
      if (ended.get(event.sample())) {
        throw new IllegalStateException(event + " after the end of its sample");
      }
      if (event instanceof TokenEvent.Finished) {
        ended.set(event.sample());
        changed.signal();
      } else if (events.size() >= capacity) {
        return false;
      }
      events.add(event);
      return true;
    } finally {
      lock.unlock();
    }
  }

  /// Tells the reader of what was put in.
  void wake() {
    lock.lock();
    try {
      changed.signal();
    } finally {
      lock.unlock();
    }
  }

  /// Whether it would soon have to refuse an event.
  boolean isHalfFull() {
    lock.lock();
    try {
      return 2 * events.size() >= capacity;
    } finally {
      lock.unlock();
    }
  }

  /// Ends every sample that has not ended.
  void endAll(FinishReason reason, String error) {
    lock.lock();
    try {
      for (int sample = 0; sample < samples; sample++) {
        if (!ended.get(sample)) {
          offer(new TokenEvent.Finished(sample, reason, null, error));
        }
      }
    } finally {
      lock.unlock();
    }
  }

  @Override
  public @Nullable TokenEvent next(Duration timeout) throws InterruptedException {
    long nanos = timeout.toNanos();
    lock.lockInterruptibly();
    try {
      if (events.isEmpty() && !(nanos > 0 && endsToRead > 0 && await(nanos))) {
        return null;
      }
      TokenEvent event = events.remove();
      if (event instanceof TokenEvent.Finished && --endsToRead == 0 && timer != null) {
        timer.cancel(false);
      }
      return event;
    } finally {
      lock.unlock();
    }
  }

  /// Waits for an event; false if none came in time.
  private boolean await(long nanos) throws InterruptedException {
    deadline = System.nanoTime() + nanos;
    expired = false;
    if (timer == null || timerEnds - deadline > 0) {
      setTimer(nanos);
    }
    waiting = true;
    try {
      while (events.isEmpty() && !expired) {
        changed.await();
      }
    } finally {
      waiting = false;
    }
    return !events.isEmpty();
  }

  private void setTimer(long nanos) {
    if (timer != null) {
      timer.cancel(false);
    }
    timerEnds = System.nanoTime() + nanos;
    timer = ForkJoinPool.commonPool().schedule(this::expire, nanos, TimeUnit.NANOSECONDS);
  }

  /// The timer has run down: the reader has waited long enough, or began to wait after it was set.
  private void expire() {
    lock.lock();
    try {
      timer = null;
      if (!waiting) {
        return;
      }
      long left = deadline - System.nanoTime();
      if (left > 0) {
        setTimer(left);
      } else {
        expired = true;
        changed.signal();
      }
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void cancel() {
    if (!hasEnded()) {
      ending.end(ALL, FinishReason.ABORT);
    }
  }

  @Override
  public void cancel(int sample) {
    end(sample, FinishReason.ABORT);
  }

  @Override
  public void stop(int sample) {
    end(sample, FinishReason.STOP);
  }

  private void end(int sample, FinishReason reason) {
    if (sample < 0 || sample >= samples) {
      throw new IllegalArgumentException("sample " + sample + " of " + samples);
    }
    ending.end(sample, reason);
  }

  private boolean hasEnded() {
    lock.lock();
    try {
      return ended.cardinality() == samples;
    } finally {
      lock.unlock();
    }
  }

  long accepted() {
    return accepted;
  }

  void scheduledAt(long nanos, int cached) {
    cachedTokens = cached;
    scheduled = nanos;
  }

  void firstTokenAt(long nanos) {
    if (firstToken == 0) {
      firstToken = nanos;
    }
  }

  void finishedAt(long nanos) {
    finished = nanos;
  }

  @Override
  public int cachedTokens() {
    return cachedTokens;
  }

  @Override
  public Timing timing() {
    return new Timing(accepted, scheduled, firstToken, finished);
  }
}
