package dev.tessera.server.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.AttentionMass;
import dev.tessera.kernels.SampleOutcome;
import dev.tessera.kernels.SampleRequest;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kvcache.CoolingRule;
import dev.tessera.kvcache.KvGeometry;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.kvcache.SlabTransfer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// The engine with its thread. A latch in the model says when a step may go on.
@Timeout(60)
final class EngineTest {
  private static final KvGeometry GEOMETRY = new KvGeometry(List.of(EngineHarness.full()), 1, 1, 8);

  private static final class GatedRunner implements ModelRunner {
    final FakeModelRunner model = new FakeModelRunner(GEOMETRY, CoolingRule.NEVER);
    volatile CountDownLatch open = new CountDownLatch(0);
    final CountDownLatch entered = new CountDownLatch(1);
    volatile RuntimeException failure;

    @Override
    public List<SampleOutcome> run(StepBatch batch, List<SampleRequest> requests) {
      entered.countDown();
      try {
        open.await();
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
      if (failure != null) {
        throw failure;
      }
      return model.run(batch, requests);
    }

    @Override
    public AttentionMass attentionMass() {
      return model.attentionMass();
    }

    @Override
    public SlabTransfer slabs() {
      return model.slabs();
    }

    @Override
    public void discard(int group, int form, int slab) {
      model.discard(group, form, slab);
    }

    @Override
    public void close() {
      model.close();
    }
  }

  // What the tests provoke need not be in the log of the build.
  private static final java.util.logging.Logger LOG =
      java.util.logging.Logger.getLogger(Engine.class.getName());

  static {
    LOG.setLevel(java.util.logging.Level.OFF);
  }

  private final GatedRunner runner = new GatedRunner();
  private final List<Throwable> failures = new ArrayList<>();
  private Engine engine;

  private Engine start(EngineConfig config) {
    engine =
        new Engine(
            config,
            new Engine.ModelFacts(FakeModelRunner.VOCABULARY, 1, EngineHarness.END_TOKENS),
            EngineHarness.cache(GEOMETRY, config, runner),
            runner,
            new EngineListener() {
              @Override
              public void onFailure(Throwable cause) {
                failures.add(cause);
              }
            });
    engine.start();
    return engine;
  }

  private static EngineConfig config(int context, int queued, long queuedTokens, int stallMillis) {
    return new EngineConfig(
        context,
        2,
        queued,
        queuedTokens,
        20 * EngineHarness.SLAB,
        0,
        KvPolicy.EXACT,
        20,
        0,
        64,
        100,
        stallMillis);
  }

  @AfterEach
  void stop() {
    runner.open.countDown();
    if (engine != null) {
      engine.close();
    }
  }

  private Generation accepted(Requests requests) {
    return assertInstanceOf(Admission.Accepted.class, engine.submit(requests.build())).generation();
  }

  private static List<TokenEvent> readAll(Generation generation, int samples)
      throws InterruptedException {
    List<TokenEvent> events = new ArrayList<>();
    int ends = 0;
    while (ends < samples) {
      TokenEvent event = generation.next(Duration.ofSeconds(30));
      assertNotNull(event);
      events.add(event);
      ends += event instanceof TokenEvent.Finished ? 1 : 0;
    }
    return events;
  }

  @Test
  void servesManyReadersAtOnce() throws Exception {
    start(config(1000, 100, 100_000, 60_000));
    List<Generation> generations = new ArrayList<>();
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      GenerationRequest request =
          Requests.prompt(i, 50 + 7 * i).samples(2).temperature(1).maxTokens(20).build();
      requests.add(request);
      generations.add(
          assertInstanceOf(Admission.Accepted.class, engine.submit(request)).generation());
    }
    for (int i = 0; i < 20; i++) {
      List<TokenEvent> events = readAll(generations.get(i), 2);
      for (int sample = 0; sample < 2; sample++) {
        assertEquals(
            Requests.alone(GEOMETRY, requests.get(i), sample, EngineHarness.END_TOKENS).tokens(),
            EngineHarness.tokens(events, sample));
      }
      Generation.Timing timing = generations.get(i).timing();
      assertTrue(timing.accepted() <= timing.scheduled());
      assertTrue(timing.scheduled() <= timing.firstToken());
      assertTrue(timing.firstToken() <= timing.finished());
    }
    assertTrue(engine.drain(Duration.ofSeconds(30)));
    assertTrue(engine.isAlive());
  }

  @Test
  void refusesWhatExceedsTheContextByOneToken() {
    start(config(100, 100, 100_000, 60_000));
    assertInstanceOf(
        Admission.Accepted.class, engine.submit(Requests.prompt(0, 92).maxTokens(8).build()));
    var refusal =
        assertInstanceOf(
            Admission.TooLong.class, engine.submit(Requests.prompt(0, 93).maxTokens(8).build()));
    assertEquals(new Admission.TooLong(93, 8, 100), refusal);
    assertInstanceOf(
        Admission.Accepted.class, engine.submit(Requests.prompt(0, 1).maxTokens(8).build()));
  }

  @Test
  void refusesWhatCanNeverFit() {
    start(config(5_000, 100, 100_000, 60_000));
    assertEquals(20 * 64, engine.contextTokens());
    assertEquals(
        new Admission.NeverFits(1000, 281, 1280),
        engine.submit(Requests.prompt(0, 1000).maxTokens(281).build()));
    assertInstanceOf(
        Admission.Accepted.class, engine.submit(Requests.prompt(0, 1000).maxTokens(280).build()));
  }

  @Test
  void refusesTokensOutsideTheVocabulary() {
    start(config(100, 100, 100_000, 60_000));
    Requests requests = Requests.prompt(0, 3);
    requests.prompt[1] = FakeModelRunner.VOCABULARY;
    String message =
        assertThrows(IllegalArgumentException.class, () -> engine.submit(requests.build()))
            .getMessage();
    assertEquals("prompt holds token 50; the model has tokens 0 to 49", message);
  }

  @Test
  void refusesWhenTheQueueIsFull() throws Exception {
    runner.open = new CountDownLatch(1);
    start(config(1000, 2, 100, 60_000));
    Generation running = accepted(Requests.prompt(0, 10));
    runner.entered.await();
    accepted(Requests.prompt(0, 60));
    assertEquals(
        new Admission.PromptBacklog(60, 100), engine.submit(Requests.prompt(0, 41).build()));
    accepted(Requests.prompt(0, 40));
    assertEquals(new Admission.QueueFull(2, 2), engine.submit(Requests.prompt(0, 1).build()));
    runner.open.countDown();
    readAll(running, 1);
    assertTrue(engine.drain(Duration.ofSeconds(30)));
    assertEquals(2, engine.stats().rejected());
    assertInstanceOf(Admission.Draining.class, engine.submit(Requests.prompt(0, 1).build()));
  }

  @Test
  void drainCancelsWhatDoesNotFinishInTime() throws Exception {
    runner.open = new CountDownLatch(1);
    start(config(1000, 100, 100_000, 60_000));
    Generation generation = accepted(Requests.prompt(0, 10).maxTokens(900));
    runner.entered.await();
    Thread opener = Thread.ofVirtual().start(() -> pauseThenOpen());
    assertFalse(engine.drain(Duration.ofMillis(1)));
    opener.join();
    TokenEvent last = readAll(generation, 1).getLast();
    assertEquals(FinishReason.ABORT, ((TokenEvent.Finished) last).reason());
  }

  private void pauseThenOpen() {
    try {
      Thread.sleep(50);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
    runner.open.countDown();
  }

  @Test
  void tellsEveryReaderWhenAStepFails() throws Exception {
    runner.open = new CountDownLatch(1);
    runner.failure = new IllegalStateException("the device is gone");
    start(config(1000, 100, 100_000, 60_000));
    Generation first = accepted(Requests.prompt(0, 10).samples(2));
    runner.entered.await();
    Generation second = accepted(Requests.prompt(5, 10));
    runner.open.countDown();
    for (TokenEvent event : readAll(first, 2)) {
      assertEquals(FinishReason.ERROR, ((TokenEvent.Finished) event).reason());
    }
    TokenEvent.Finished end = (TokenEvent.Finished) readAll(second, 1).getFirst();
    assertEquals(FinishReason.ERROR, end.reason());
    assertTrue(end.error().contains("the device is gone"), end.error());
    var refusal =
        assertInstanceOf(Admission.Failed.class, engine.submit(Requests.prompt(0, 1).build()));
    assertTrue(refusal.reason().contains("the device is gone"), refusal.reason());
    assertFalse(engine.isAlive());
    assertFalse(engine.drain(Duration.ofSeconds(30)));
    engine.close();
    assertEquals(1, failures.size());
    assertTrue(runner.model.closed);
  }

  @Test
  void isNotAliveWhileAStepHangs() throws Exception {
    runner.open = new CountDownLatch(1);
    start(config(1000, 100, 100_000, 1));
    assertTrue(engine.isAlive());
    Generation generation = accepted(Requests.prompt(0, 10));
    runner.entered.await();
    Thread.sleep(20);
    assertFalse(engine.isAlive());
    runner.open.countDown();
    readAll(generation, 1);
  }

  @Test
  void cancelWakesAndEnds() throws Exception {
    start(config(1000, 100, 100_000, 60_000));
    Generation generation = accepted(Requests.prompt(0, 10).maxTokens(50).samples(2));
    generation.cancel();
    List<TokenEvent> events = readAll(generation, 2);
    assertEquals(2, events.stream().filter(e -> e instanceof TokenEvent.Finished).count());
    generation.cancel();
    generation.cancel(1);
    assertTrue(engine.drain(Duration.ofSeconds(30)));
    assertEquals(0, engine.stats().usedBytes());
  }

  @Test
  void unseededRequestsDrawDifferentSeeds() throws Exception {
    start(config(1000, 100, 100_000, 60_000));
    Requests requests = Requests.prompt(0, 10).temperature(1).seed(null).maxTokens(30);
    List<TokenEvent> first = readAll(accepted(requests), 1);
    List<TokenEvent> second = readAll(accepted(requests), 1);
    assertFalse(EngineHarness.tokens(first, 0).equals(EngineHarness.tokens(second, 0)));
  }
}
