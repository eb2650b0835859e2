package dev.tessera.server.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
final class BodyMemoryTest {
  private static final int LIMIT = 1 << 20;

  /// Of a heap so small that one body of the limit fills each share.
  private static BodyMemory memory(Duration patience) {
    return new BodyMemory(8 * LIMIT, LIMIT, patience);
  }

  private static void requireBusy(Runnable acquire) {
    ApiException refused = assertThrows(ApiException.class, acquire::run);
    assertEquals(503, refused.error().status());
    assertTrue(refused.error().message().contains("1,048,576 bytes"), refused.error().message());
  }

  @Test
  void aLargeBodyWaitsForTheOneBefore() throws Exception {
    BodyMemory memory = memory(Duration.ofSeconds(20));
    BodyMemory.Share first = memory.share();
    first.receive(LIMIT);
    first.parse(LIMIT);
    BodyMemory.Share second = memory.share();
    var receives =
        new FutureTask<>(
            () -> {
              second.receive(LIMIT);
              second.parse(LIMIT);
              return true;
            });
    Thread thread = Thread.ofPlatform().start(receives);
    while (thread.getState() != Thread.State.TIMED_WAITING) {
      Thread.sleep(1);
    }
    first.close();
    assertTrue(receives.get());
    second.close();
  }

  @Test
  void patienceHasAnEnd() {
    BodyMemory memory = memory(Duration.ofMillis(5));
    BodyMemory.Share first = memory.share();
    first.receive(LIMIT);
    requireBusy(() -> memory.share().receive(LIMIT));
    first.parse(LIMIT);
    requireBusy(() -> memory.share().parse(LIMIT));
    first.close();
    memory.share().receive(LIMIT);
    memory.share().parse(LIMIT);
  }

  @Test
  void aBodyOfUnknownLengthMayBeTheLongest() {
    BodyMemory memory = memory(Duration.ofMillis(5));
    memory.share().receive(-1);
    requireBusy(() -> memory.share().receive(LIMIT));
  }

  /// It would wait for ever; what it has too much is refused as it is received.
  @Test
  void aBodyThatClaimsToBeLongerThanAllowedTakesNoMoreThanThat() {
    memory(Duration.ofMillis(5)).share().receive(1L << 40);
  }

  @Test
  void smallBodiesPassWhateverElseThereIs() {
    BodyMemory memory = memory(Duration.ofMillis(5));
    memory.share().parse(LIMIT);
    for (int i = 0; i < 1_000; i++) {
      memory.share().parse(BodyMemory.SMALL);
    }
  }

  @Test
  void whatIsGivenBackIsGivenBackOnce() {
    BodyMemory memory = memory(Duration.ofMillis(5));
    BodyMemory.Share share = memory.share();
    share.receive(LIMIT);
    share.close();
    share.close();
    memory.share().receive(LIMIT);
    requireBusy(() -> memory.share().receive(LIMIT));
  }
}
