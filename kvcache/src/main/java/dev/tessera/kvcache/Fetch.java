package dev.tessera.kvcache;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// Bytes on their way from a tier: completed by the tier's thread, read by the engine's.
public class Fetch {
  private final CountDownLatch done = new CountDownLatch(1);
  private @Nullable MemorySegment bytes; // written before the latch opens, read behind it

  public Fetch() {}

  /// @param result null where the tier has lost the bytes
  public void complete(@Nullable MemorySegment result) {
    bytes = result;
    done.countDown();
  }

  public boolean isDone() {
    return done.getCount() == 0;
  }

  /// Waits until it is done, or for so long.
  public void await(long nanos) throws InterruptedException {
    boolean ignored = done.await(nanos, TimeUnit.NANOSECONDS);
  }

  /// What came, once it is done; null where the tier has lost it.
  public @Nullable MemorySegment bytes() {
    if (!isDone()) {
      throw new IllegalStateException("the bytes are still on their way");
    }
    return bytes;
  }
}
