package dev.tessera.server.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
final class TokenQueueTest {
  private final List<String> endings = new ArrayList<>();
  private final TokenQueue queue =
      new TokenQueue(2, 3, 1, (sample, reason) -> endings.add(sample + " " + reason));

  private static TokenEvent token(int sample, int id) {
    return new TokenEvent.Token(
        sample, new TokenEvent.Scored(id, Float.NaN, 0, new int[0], new float[0]));
  }

  private static TokenEvent end(int sample) {
    return new TokenEvent.Finished(sample, FinishReason.LENGTH, null, null);
  }

  @Test
  void refusesWhatDoesNotFitButAlwaysTakesTheEnd() throws Exception {
    for (int i = 0; i < 3; i++) {
      assertTrue(queue.offer(token(0, i)));
    }
    assertFalse(queue.offer(token(0, 3)));
    assertTrue(queue.offer(end(0)));
    assertTrue(queue.offer(end(1)));
    for (int i = 0; i < 3; i++) {
      assertEquals(token(0, i).sample(), queue.next(Duration.ZERO).sample());
    }
    assertEquals(end(0), queue.next(Duration.ZERO));
    assertEquals(end(1), queue.next(Duration.ofDays(10_000)));
    assertNull(queue.next(Duration.ofSeconds(100)), "nothing comes after the end");
  }

  @Test
  void aSampleEndsOnce() {
    queue.offer(end(0));
    assertThrows(IllegalStateException.class, () -> queue.offer(end(0)));
    assertThrows(IllegalStateException.class, () -> queue.offer(token(0, 1)));
    queue.endAll(FinishReason.ERROR, "why");
    assertThrows(IllegalStateException.class, () -> queue.offer(end(1)));
  }

  @Test
  void anEventWakesItsReader() throws Exception {
    Thread writer = Thread.ofVirtual().start(() -> queue.offer(end(1)));
    assertEquals(end(1), queue.next(Duration.ofSeconds(30)));
    writer.join();
    assertNull(queue.next(Duration.ofMillis(1)));
  }

  /// One timer serves many waits: it must neither end a later wait too soon nor forget it.
  @Test
  void waitsAsLongAsAskedForHoweverManyWaitsWereBefore() throws Exception {
    var wide = new TokenQueue(1, 1_000, 1, (sample, reason) -> {});
    Thread writer =
        Thread.ofVirtual()
            .start(
                () -> {
                  for (int i = 0; i < 100; i++) {
                    sleep(3);
                    wide.offer(token(0, i));
                    wide.wake();
                  }
                });
    for (int i = 0; i < 100; i++) {
      assertNotNull(wide.next(Duration.ofSeconds(20)), "event " + i);
    }
    writer.join();
    for (Duration limit : List.of(Duration.ofMillis(60), Duration.ofMillis(5))) {
      long start = System.nanoTime();
      assertNull(wide.next(limit));
      assertTrue(System.nanoTime() - start >= limit.toNanos(), limit + " had not passed");
    }
    assertTrue(wide.offer(token(0, 0)));
    assertNotNull(wide.next(Duration.ofMillis(5)), "an event after a wait in vain");
  }

  private static void sleep(long millis) {
    try {
      Thread.sleep(millis);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void cancelsUntilItHasEnded() {
    queue.cancel();
    queue.cancel(1);
    queue.stop(0);
    assertEquals(List.of(TokenQueue.ALL + " ABORT", "1 ABORT", "0 STOP"), endings);
    queue.endAll(FinishReason.ABORT, "over");
    queue.cancel();
    assertEquals(3, endings.size());
    assertThrows(IllegalArgumentException.class, () -> queue.cancel(2));
    assertThrows(IllegalArgumentException.class, () -> queue.cancel(-1));
  }
}
