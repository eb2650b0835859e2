package dev.tessera.server.http;

import io.helidon.common.buffers.BufferData;
import io.helidon.common.buffers.DataWriter;
import java.time.Duration;

/// Remembers since when a write has been waiting, so that a client that stopped reading can be cut
/// off: a blocked write has no time limit of its own.
final class WatchedWriter implements DataWriter {
  private final DataWriter target;
  private volatile long since; // System.nanoTime() of the write in progress, 0 for none

  WatchedWriter(DataWriter target) {
    this.target = target;
  }

  boolean isStuck(Duration limit) {
    long start = since;
    return start != 0 && System.nanoTime() - start > limit.toNanos();
  }

  @Override
  public void write(BufferData... buffers) {
    timed(() -> target.write(buffers));
  }

  @Override
  public void write(BufferData buffer) {
    timed(() -> target.write(buffer));
  }

  @Override
  public void writeNow(BufferData... buffers) {
    timed(() -> target.writeNow(buffers));
  }

  @Override
  public void writeNow(BufferData buffer) {
    timed(() -> target.writeNow(buffer));
  }

  @Override
  public void flush() {
    timed(target::flush);
  }

  @Override
  public void close() {
    target.close();
  }

  private void timed(Runnable write) {
    since = System.nanoTime() | 1;
    try {
      write.run();
    } finally {
      since = 0;
    }
  }
}
