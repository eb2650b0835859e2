package dev.tessera.server.http;

import java.time.Duration;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/// The memory that large bodies of requests may take together.
///
/// A body may be legal and still be a hundred megabytes of objects once it is parsed; some of them
/// at once would use up the heap, and with it the server. So large bodies wait for each other:
/// while they are received, for room for their bytes, and before they are parsed, for room for what
/// can become of those. Who parses waits for no room to receive, so waiting always ends. Small
/// bodies, of all the connections that there may be, fit beside.
final class BodyMemory {

  /// Bytes of a body that passes without waiting.
  static final int SMALL = 64 * 1024;

  /// Bytes of the heap that a byte of JSON may become: an empty object is three bytes and 72.
  private static final int GROWTH = 24;

  private static final int RECEIVED_SHARE = 8; // one of so many bytes of the heap
  private static final int PARSED_SHARE = 2;

  private final int limit;
  private final Duration patience;
  private final Semaphore received; // permits are bytes of bodies
  private final Semaphore parsed;

  /// @param heap bytes that the process may have
  /// @param limit bytes of a body
  /// @param patience for what a body waits at most
  BodyMemory(long heap, int limit, Duration patience) {
    this.limit = limit;
    this.patience = patience;
    this.received = new Semaphore(permits(heap / RECEIVED_SHARE), true);
    this.parsed = new Semaphore(permits(heap / PARSED_SHARE / GROWTH), true);
  }

  /// One body must always pass.
  private int permits(long bytes) {
    return Math.clamp(bytes, limit, Integer.MAX_VALUE);
  }

  /// The share of a request. One thread uses it.
  Share share() {
    return new Share();
  }

  final class Share implements AutoCloseable {
    private int receives;
    private int parses;

    private Share() {}

    /// Before more than [#SMALL] bytes of a body are received.
    ///
    /// @param length of the body, negative where it is not known
    /// @throws ApiException with status 503 if too many others are
    void receive(long length) {
      int bytes = length < 0 ? limit : (int) Math.min(length, limit);
      acquire(received, bytes);
      receives = bytes;
    }

    /// Before a body is parsed, all of which has come.
    ///
    /// @throws ApiException with status 503 if too many others are
    void parse(int bytes) {
      if (bytes > SMALL) {
        acquire(parsed, bytes);
        parses = bytes;
      }
    }

    private void acquire(Semaphore permits, int bytes) {
      boolean acquired;
      try {
        acquired = permits.tryAcquire(bytes, patience.toNanos(), TimeUnit.NANOSECONDS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        acquired = false;
      }
      if (!acquired) {
        throw ApiError.unavailable(
                "the server is busy with other large bodies, and has no memory for %,d bytes more"
                    .formatted(bytes))
            .asException();
      }
    }

    /// The body and what was made of it are garbage.
    @Override
    public void close() {
      received.release(receives);
      parsed.release(parses);
      receives = 0;
      parses = 0;
    }
  }
}
