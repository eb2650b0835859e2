package dev.tessera.server.engine;

import java.util.LinkedHashSet;
import java.util.Set;

/// Wakes the readers of tokens: at once, or where tokens come fast, once for those of a short
/// while.
///
/// A reader that wakes takes a core from the step that computes the next token. Whoever reads
/// faster than a screen shows has nothing of each token by itself.
final class Deliveries {
  private final long interval;
  private final Set<LiveRequest> unread = new LinkedHashSet<>();

  /// @param interval nanoseconds between two wakes of a reader at least
  Deliveries(long interval) {
    this.interval = interval;
  }

  /// Takes note of an event in a request's queue that its reader does not know of.
  void add(LiveRequest request) {
    unread.add(request);
  }

  /// Wakes those whose time has come: after each step, however little it did for them.
  void deliver(long now) {
    unread.removeIf(request -> deliver(request, now));
  }

  private boolean deliver(LiveRequest request, long now) {
    if (now - request.delivered < interval && !request.queue.isHalfFull()) {
      return false;
    }
    request.delivered = now;
    request.queue.wake();
    return true;
  }

  /// The end of a request has woken its reader.
  void forget(LiveRequest request) {
    unread.remove(request);
  }
}
