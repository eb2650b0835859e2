package dev.tessera.server.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/// What advances in a step. On the fake machine a step takes 1 ms and 0.1 ms per row, and should
/// take 20 ms.
final class SchedulerTest {

  private static EngineHarness roomy() {
    return new EngineHarness(EngineHarness.config(400, 32), EngineHarness.full());
  }

  /// Lets the engine learn what a row costs.
  private static void learn(EngineHarness engine) {
    engine.submit(Requests.prompt(0, 4_000).salt("learn").maxTokens(1));
    engine.run();
    engine.steps.clear();
  }

  @Test
  void everyStreamGetsATokenInEveryStepWhileAPromptIsComputed() {
    EngineHarness engine = roomy();
    learn(engine);
    List<TokenQueue> streams = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      streams.add(engine.submit(Requests.prompt(i, 3).maxTokens(60)));
    }
    engine.step();
    TokenQueue prompt = engine.submit(Requests.prompt(9, 5_000).maxTokens(1));
    int before = engine.sequence(streams.getFirst()).outputTokens();
    for (int i = 1; i <= 20; i++) {
      engine.step();
      for (TokenQueue stream : streams) {
        assertEquals(before + i, engine.sequence(stream).outputTokens());
      }
    }
    assertTrue(engine.sequence(prompt).computedTokens() > 1_000);
  }

  @Test
  void aStepTakesAboutTheTargetTimeOnceTheMachineIsKnown() {
    EngineHarness engine = roomy();
    learn(engine);
    engine.submit(Requests.prompt(9, 5_000).maxTokens(1));
    engine.run();
    for (EngineListener.StepStats step : engine.steps.subList(0, engine.steps.size() - 1)) {
      assertTrue(step.nanos() <= 20_000_000 * 1.1, () -> step.toString());
      assertTrue(step.nanos() >= 20_000_000 * 0.7, () -> step.toString());
    }
  }

  @Test
  void aSlowerMachineGetsSmallerSteps() {
    EngineHarness engine = roomy();
    learn(engine);
    engine.runner.nanosPerRow = 500_000;
    engine.submit(Requests.prompt(9, 3_000).maxTokens(1));
    engine.run();
    long last = engine.steps.get(engine.steps.size() - 2).nanos();
    assertTrue(last <= 20_000_000 * 1.3, () -> last + " ns");
  }

  @Test
  void aShortPromptDoesNotWaitBehindALongOne() {
    EngineHarness engine = roomy();
    learn(engine);
    TokenQueue prompt = engine.submit(Requests.prompt(9, 10_000).maxTokens(1));
    engine.step();
    TokenQueue quick = engine.submit(Requests.prompt(3, 80).maxTokens(1));
    engine.step();
    assertTrue(engine.sequence(quick).finished);
    assertTrue(engine.sequence(prompt).computedTokens() > 150);
  }

  @Test
  void theOldestPromptKeepsHalfOfTheTimeHoweverManyShortOnesCome() {
    EngineHarness engine = roomy();
    learn(engine);
    TokenQueue prompt = engine.submit(Requests.prompt(9, 3_000).maxTokens(1));
    for (int i = 0; i < 30; i++) {
      engine.submit(Requests.prompt(i, 120).salt("s" + i).maxTokens(1));
      engine.submit(Requests.prompt(i, 120).salt("t" + i).maxTokens(1));
      engine.step();
      assertTrue(engine.sequence(prompt).computedTokens() >= (i + 1) * 80);
    }
  }

  @Test
  void severalPromptsShareAStep() {
    EngineHarness engine = roomy();
    learn(engine);
    for (int i = 0; i < 4; i++) {
      engine.submit(Requests.prompt(i, 40).maxTokens(1));
    }
    engine.step();
    assertEquals(4, engine.steps.getFirst().sequences());
  }

  @Test
  void thePriorityGoesFirstThenTheArrival() {
    EngineHarness engine = new EngineHarness(EngineHarness.config(400, 1), EngineHarness.full());
    engine.submit(Requests.prompt(0, 10).id("running").maxTokens(3));
    engine.step();
    engine.submit(Requests.prompt(1, 10).id("third").priority(1));
    engine.submit(Requests.prompt(2, 10).id("second"));
    engine.submit(Requests.prompt(3, 10).id("first").priority(-1));
    engine.submit(Requests.prompt(4, 10).id("fourth").priority(1));
    engine.run();
    assertEquals(
        List.of("running", "first", "second", "third", "fourth"),
        engine.finished.stream().map(EngineListener.RequestStats::id).toList());
  }

  @Test
  void preemptsTheYoungestWhenFull() {
    EngineHarness engine = new EngineHarness(EngineHarness.config(6, 4), EngineHarness.full());
    TokenQueue oldest = engine.submit(Requests.prompt(0, 60).salt("a").maxTokens(250));
    TokenQueue youngest = engine.submit(Requests.prompt(7, 60).salt("b").maxTokens(250));
    Sequence loser = engine.sequence(youngest);
    while (engine.core.stats().preemptions() == 0) {
      engine.step();
    }
    assertNull(loser.cache);
    assertNotNull(engine.sequence(oldest).cache);
    assertTrue(loser.outputTokens() > 0);
    engine.run();
    for (TokenQueue queue : List.of(oldest, youngest)) {
      assertEquals(
          Requests.alone(engine.geometry, engine.live(queue).request, 0, EngineHarness.END_TOKENS)
              .tokens(),
          EngineHarness.tokens(EngineHarness.events(queue), 0));
    }
    assertEquals(1, engine.finished.getLast().preemptions());
  }

  @Test
  void preemptsTheLessImportantEvenIfItIsOlder() {
    EngineHarness engine = new EngineHarness(EngineHarness.config(6, 4), EngineHarness.full());
    TokenQueue background =
        engine.submit(Requests.prompt(0, 60).salt("a").priority(1).maxTokens(250));
    TokenQueue urgent = engine.submit(Requests.prompt(7, 60).salt("b").maxTokens(250));
    while (engine.core.stats().preemptions() == 0) {
      engine.step();
    }
    assertNull(engine.sequence(background).cache);
    assertNotNull(engine.sequence(urgent).cache);
  }

  @Test
  void admitsNobodyWhoWouldTakeTheMemoryOfAPromptThatIsBeingComputed() {
    EngineHarness engine = new EngineHarness(EngineHarness.config(20, 8), EngineHarness.full());
    TokenQueue first = engine.submit(Requests.prompt(0, 900).salt("a").maxTokens(10));
    engine.step();
    assertTrue(engine.sequence(first).computedTokens() < 300);
    TokenQueue second = engine.submit(Requests.prompt(0, 400).salt("b").maxTokens(10));
    engine.step();
    assertNull(engine.sequence(second).cache);
    engine.run();
    assertEquals(0, engine.core.stats().preemptions());
  }

  @Test
  void whatFillsTheWholeBudgetIsServedAlone() {
    EngineHarness engine = new EngineHarness(EngineHarness.config(6, 8), EngineHarness.full());
    TokenQueue whole = engine.submit(Requests.prompt(0, 380).salt("a").maxTokens(4));
    TokenQueue other = engine.submit(Requests.prompt(9, 384 - 8).salt("b").maxTokens(8));
    engine.run();
    assertEquals(4, EngineHarness.tokens(EngineHarness.events(whole), 0).size());
    assertEquals(8, EngineHarness.tokens(EngineHarness.events(other), 0).size());
  }

  @Test
  void samplesShareTheBlocksOfTheirPrompt() {
    EngineHarness engine = roomy();
    learn(engine);
    TokenQueue queue =
        engine.submit(Requests.prompt(0, 150).samples(4).temperature(1).maxTokens(30));
    engine.step();
    assertEquals(1, engine.core.scheduler().running().size());
    engine.step();
    assertEquals(4, engine.core.scheduler().running().size());
    // Two full blocks once, and the rest of the prompt for each.
    assertEquals(2 + 4, engine.core.stats().usedBlocks());
    engine.run();
    List<TokenEvent> events = EngineHarness.events(queue);
    for (int sample = 0; sample < 4; sample++) {
      assertEquals(
          Requests.alone(
                  engine.geometry, engine.live(queue).request, sample, EngineHarness.END_TOKENS)
              .tokens(),
          EngineHarness.tokens(events, sample));
    }
    assertTrue(
        !EngineHarness.tokens(events, 0).equals(EngineHarness.tokens(events, 1)),
        "samples draw from streams of their own");
  }

  @Test
  void theOtherSamplesGoOnWhenTheFirstIsCancelledInItsPrompt() {
    EngineHarness engine = roomy();
    TokenQueue queue = engine.submit(Requests.prompt(0, 3_000).samples(3).maxTokens(5));
    engine.step();
    queue.cancel(0);
    engine.run();
    List<TokenEvent> events = EngineHarness.events(queue);
    assertEquals(FinishReason.ABORT, EngineHarness.end(events, 0).reason());
    assertEquals(5, EngineHarness.tokens(events, 1).size());
    assertEquals(5, EngineHarness.tokens(events, 2).size());
  }

  @Test
  void promptsGetTheirFloorWhereTheStreamsAloneTakeAllTheTime() {
    EngineHarness engine = roomy();
    for (int i = 0; i < 8; i++) {
      engine.submit(Requests.prompt(i, 3).maxTokens(900));
    }
    engine.run(20);
    engine.runner.nanosPerStep = 60_000_000;
    engine.run(20);
    TokenQueue prompt = engine.submit(Requests.prompt(9, 1_000).maxTokens(1));
    int before = 0;
    for (int i = 0; i < 5; i++) {
      engine.step();
      int computed = engine.sequence(prompt).computedTokens();
      assertTrue(computed >= before + StepPlanner.LEAST_CHUNK);
      before = computed;
    }
  }
}
