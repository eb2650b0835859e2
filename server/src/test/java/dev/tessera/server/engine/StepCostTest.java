package dev.tessera.server.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;

final class StepCostTest {

  private static long machine(int rows, long pairs) {
    return (long) (3e6 + 150e3 * rows + 40.0 * pairs);
  }

  private static double error(StepCost cost, int first, int rows) {
    double predicted = cost.base() + cost.of(first, rows);
    return predicted / machine(rows, StepCost.attended(first, rows)) - 1;
  }

  @Test
  void learnsWhatAMachineTakes() {
    Random random = new Random(3);
    StepCost cost = new StepCost();
    for (int i = 0; i < 400; i++) {
      int first = random.nextInt(8_000);
      int rows = random.nextInt(3) == 0 ? 1 + random.nextInt(8) : 32 + random.nextInt(300);
      long pairs = StepCost.attended(first, rows);
      cost.observe(rows, pairs, machine(rows, pairs));
    }
    assertEquals(0, error(cost, 0, 128), 0.1);
    assertEquals(0, error(cost, 4_000, 128), 0.1);
    assertEquals(0, error(cost, 8_000, 256), 0.1);
  }

  @Test
  void doesNotForgetWhatRowsCostWhileItOnlyDecodes() {
    StepCost cost = new StepCost();
    for (int i = 0; i < 200; i++) {
      long pairs = StepCost.attended(500, 100 + i);
      cost.observe(100 + i, pairs, machine(100 + i, pairs));
    }
    double before = error(cost, 500, 256);
    for (int i = 0; i < 5_000; i++) {
      cost.observe(1, 500, machine(1, 500));
    }
    assertEquals(before, error(cost, 500, 256), 0.15);
  }

  @Test
  void onePauseOfTheMachineIsSoonForgotten() {
    StepCost cost = new StepCost();
    for (int i = 0; i < 300; i++) {
      cost.observe(128, StepCost.attended(0, 128), machine(128, StepCost.attended(0, 128)));
    }
    cost.observe(128, StepCost.attended(0, 128), 10_000_000_000L);
    for (int i = 0; i < 20; i++) {
      cost.observe(128, StepCost.attended(0, 128), machine(128, StepCost.attended(0, 128)));
    }
    assertEquals(0, error(cost, 0, 128), 0.05);
  }

  @Test
  void theFirstStepsSayHowFastTheMachineIs() {
    for (double speed : new double[] {0.2, 1, 8}) {
      StepCost cost = new StepCost();
      for (int i = 0; i < 4; i++) {
        int rows = Math.max(16, Math.min(256, cost.tokensWithin(60e6 - cost.base(), 0)));
        long pairs = StepCost.attended(0, rows);
        cost.observe(rows, pairs, (long) (speed * machine(rows, pairs)));
      }
      int rows = cost.tokensWithin(60e6 - cost.base(), 0);
      double nanos = speed * machine(rows, StepCost.attended(0, rows));
      assertEquals(60e6, nanos, 25e6, "speed " + speed);
    }
  }

  @Test
  void invertsItsOwnPrediction() {
    StepCost cost = new StepCost();
    for (int first : new int[] {0, 1, 1_000, 100_000}) {
      for (double nanos : new double[] {1e5, 1e6, 5e7}) {
        int tokens = cost.tokensWithin(nanos, first);
        assertTrue(cost.of(first, tokens) <= nanos * (1 + 1e-9));
        assertTrue(cost.of(first, tokens + 1) > nanos * (1 - 1e-9));
      }
    }
    assertEquals(0, cost.tokensWithin(0, 5));
    assertEquals(0, cost.tokensWithin(-3, 5));
    assertTrue(cost.tokensWithin(Double.MAX_VALUE, 5) > 1_000_000);
  }
}
