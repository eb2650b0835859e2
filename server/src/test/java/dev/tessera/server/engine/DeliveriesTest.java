package dev.tessera.server.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kvcache.BlockHash;
import dev.tessera.kvcache.HashChain;
import java.time.Duration;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
final class DeliveriesTest {
  private static final long INTERVAL = 1_000;
  private static final long START = 5_000_000;
  private static final int CAPACITY = 6;

  private final Deliveries deliveries = new Deliveries(INTERVAL);
  private final TokenQueue queue = new TokenQueue(1, CAPACITY, START, (sample, reason) -> {});
  private final LiveRequest request =
      new LiveRequest(
          Requests.prompt(0, 3).build(),
          queue,
          1,
          1,
          new HashChain(BlockHash.root(new byte[0], "", "", new byte[0], "")));

  /// A reader that waits for its next event.
  private final class Reader {
    private final FutureTask<TokenEvent> event =
        new FutureTask<>(() -> queue.next(Duration.ofSeconds(20)));
    private final Thread thread = Thread.ofPlatform().start(event);

    Reader() throws InterruptedException {
      while (!waits()) {
        Thread.sleep(1);
      }
    }

    boolean waits() {
      return thread.getState() == Thread.State.WAITING;
    }
  }

  private void token(int id) {
    var scored = new TokenEvent.Scored(id, Float.NaN, 0, new int[0], new float[0]);
    assertTrue(queue.offer(new TokenEvent.Token(0, scored)));
    deliveries.add(request);
  }

  private static int id(TokenEvent event) {
    return ((TokenEvent.Token) event).token().id();
  }

  @Test
  void theFirstTokenGoesOutAtOnceAndLaterOnesTogether() throws Exception {
    var first = new Reader();
    token(1);
    deliveries.deliver(START + 5);
    assertEquals(1, id(first.event.get()));

    var second = new Reader();
    token(2);
    deliveries.deliver(START + 5 + INTERVAL / 2);
    token(3);
    deliveries.deliver(START + 4 + INTERVAL);
    assertTrue(second.waits(), "nobody has told it");
    deliveries.deliver(START + 5 + INTERVAL); // a step that had nothing for this request
    assertEquals(2, id(second.event.get()));
    assertEquals(3, id(queue.next(Duration.ZERO)));
  }

  @Test
  void theEndDoesNotWait() throws Exception {
    token(1);
    deliveries.deliver(START);
    assertEquals(1, id(queue.next(Duration.ZERO)));
    var reader = new Reader();
    token(2);
    queue.offer(new TokenEvent.Finished(0, FinishReason.LENGTH, null, null));
    deliveries.forget(request);
    assertEquals(2, id(reader.event.get()));
  }

  @Test
  void aQueueThatFillsUpIsReadSooner() throws Exception {
    token(1);
    deliveries.deliver(START);
    assertEquals(1, id(queue.next(Duration.ZERO)));
    var reader = new Reader();
    token(2);
    token(3);
    deliveries.deliver(START + 1);
    assertTrue(reader.waits());
    token(4);
    deliveries.deliver(START + 2);
    assertEquals(2, id(reader.event.get()));
  }
}
