package dev.tessera.server.http;

import io.helidon.common.buffers.DataReader;
import io.helidon.http.DirectHandler.EventType;
import io.helidon.http.RequestException;
import io.helidon.http.Status;
import io.helidon.webserver.CloseConnectionException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// The reading side of one connection.
///
/// A virtual thread of its own reads the socket all the time, also while a request is being
/// answered, and so notices at once when the client leaves: Helidon itself reads only between
/// requests. Bytes that come early (pipelined requests) wait here, in order, up to
/// [#LOOK_AHEAD_BYTES]; beyond that the socket is left alone until the handler catches up.
///
/// Since every byte of a request passes here, this is also where slow senders meet their limits.
final class ConnectionInput implements Supplier<byte @Nullable []> {
  static final int LOOK_AHEAD_BYTES = 64 * 1024;

  private static final Duration LINGER = Duration.ofSeconds(2);
  private static final Duration QUIET = Duration.ofMillis(250);

  /// What the next bytes belong to; decides how long they may take.
  private enum Phase {
    IDLE,
    HEAD,
    BODY
  }

  private final DataReader source;
  private final ConnectionLimits limits;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Deque<byte[]> ahead = new ArrayDeque<>();
  private int aheadBytes;
  private boolean ended;
  private boolean abandoned;
  private @Nullable Runnable onGone;
  private Phase phase = Phase.IDLE;
  private long phaseStart = System.nanoTime();

  ConnectionInput(DataReader source, ConnectionLimits limits) {
    this.source = source;
    this.limits = limits;
  }

  /// Reads until the client closes its side or the connection is abandoned. Runs on its own thread.
  void pump() {
    try {
      while (true) {
        source.ensureAvailable();
        byte[] bytes = source.readBuffer().readBytes();
        lock.lock();
        try {
          ahead.add(bytes);
          aheadBytes += bytes.length;
          changed.signalAll();
          while (aheadBytes >= LOOK_AHEAD_BYTES && !abandoned) {
            changed.await();
          }
          if (abandoned) {
            return;
          }
        } finally {
          lock.unlock();
        }
      }
    } catch (RuntimeException | InterruptedException e) {
      // End of stream, reset or closed by us: in each case nothing more will come.
    } finally {
      end();
    }
  }

  private void end() {
    @Nullable Runnable action;
    lock.lock();
    try {
      ended = true;
      action = onGone;
      onGone = null;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    if (action != null) {
      action.run();
    }
  }

  /// Gives a client that is still sending a refused request the time to read why: closing a socket
  /// with unread bytes resets it, and the answer would be lost.
  void linger() {
    long end = System.nanoTime() + LINGER.toNanos();
    lock.lock();
    try {
      while (phase != Phase.IDLE && !ended && System.nanoTime() < end) {
        ahead.clear();
        aheadBytes = 0;
        changed.signalAll();
        if (!changed.await(QUIET.toNanos(), TimeUnit.NANOSECONDS)) {
          return;
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      lock.unlock();
    }
  }

  /// Stops reading: the connection is over.
  void abandon() {
    lock.lock();
    try {
      abandoned = true;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /// Whether the client has closed its side and nothing that it sent is left.
  boolean isGone() {
    lock.lock();
    try {
      return ended;
    } finally {
      lock.unlock();
    }
  }

  /// Runs an action when the client leaves, at once if it already has. Null forgets it.
  void onGone(@Nullable Runnable action) {
    lock.lock();
    try {
      if (!ended || action == null) {
        onGone = action;
        return;
      }
    } finally {
      lock.unlock();
    }
    action.run();
  }

  /// The request's headers are complete.
  void headComplete() {
    enter(Phase.BODY);
  }

  /// The request has been answered.
  ///
  /// @param nextBegun whether bytes of the next request have been taken from here already
  void requestComplete(boolean nextBegun) {
    enter(nextBegun ? Phase.HEAD : Phase.IDLE);
  }

  private void enter(Phase next) {
    lock.lock();
    try {
      phase = next;
      phaseStart = System.nanoTime();
    } finally {
      lock.unlock();
    }
  }

  /// The next bytes of the connection, or null at its end.
  ///
  /// @throws RequestException with status 408 when a request comes too slowly
  /// @throws CloseConnectionException when no request came for too long
  @Override
  public byte @Nullable [] get() {
    lock.lock();
    try {
      while (ahead.isEmpty()) {
        if (ended) {
          return null;
        }
        long left = phaseStart + limit() - System.nanoTime();
        if (left <= 0) {
          throw tooSlow();
        }
        changed.await(left, TimeUnit.NANOSECONDS);
      }
      byte[] bytes = ahead.remove();
      aheadBytes -= bytes.length;
      if (phase == Phase.IDLE) {
        phase = Phase.HEAD;
        phaseStart = System.nanoTime();
      }
      changed.signalAll();
      return bytes;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CloseConnectionException("the server stops", e);
    } finally {
      lock.unlock();
    }
  }

  private long limit() {
    return switch (phase) {
      case IDLE -> limits.idle().toNanos();
      case HEAD -> limits.head().toNanos();
      case BODY -> limits.body().toNanos();
    };
  }

  private RuntimeException tooSlow() {
    if (phase == Phase.IDLE) {
      return new CloseConnectionException("no request for " + limits.idle());
    }
    boolean head = phase == Phase.HEAD;
    return RequestException.builder()
        .type(EventType.BAD_REQUEST)
        .status(Status.REQUEST_TIMEOUT_408)
        .setKeepAlive(false)
        .safeMessage(true)
        .message(
            "the request's %s did not arrive within %d s (%s)"
                .formatted(
                    head ? "headers" : "body",
                    (head ? limits.head() : limits.body()).toSeconds(),
                    head ? "http.header-seconds" : "http.body-seconds"))
        .build();
  }
}
