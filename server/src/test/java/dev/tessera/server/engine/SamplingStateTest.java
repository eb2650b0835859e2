package dev.tessera.server.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import dev.tessera.kernels.SampleRequest;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

final class SamplingStateTest {

  private static SamplingParameters parameters(float presence, float frequency, float repetition) {
    return new SamplingParameters(
        0.7f,
        0.9f,
        40,
        0.05f,
        presence,
        frequency,
        repetition,
        1L,
        new int[] {5},
        new float[] {-3},
        2,
        -1);
  }

  @Test
  void countsPromptAndOutputForPenalties() {
    Random random = new Random(5);
    int[] prompt = random.ints(50, 0, 20).toArray();
    var state = new SamplingState(parameters(0.5f, 0, 1), 1, 0, prompt, 0, Set.of());
    Map<Integer, Integer> expected = new HashMap<>();
    Arrays.stream(prompt).forEach(token -> expected.put(token, 0));
    for (int i = 0; i < 100; i++) {
      int token = random.nextInt(60);
      state.append(token);
      expected.merge(token, 1, Integer::sum);
      SampleRequest.Penalties penalties = state.choose(0, i + 1).penalties();
      Map<Integer, Integer> counts = new HashMap<>();
      for (int j = 0; j < penalties.tokens().length; j++) {
        counts.put(penalties.tokens()[j], penalties.outputCounts()[j]);
      }
      assertEquals(expected, counts);
      assertEquals(penalties.tokens().length, counts.size());
    }
  }

  @Test
  void hasNoPenaltiesWhereNoneIsAskedFor() {
    var state = new SamplingState(parameters(0, 0, 1), 1, 0, new int[] {1}, 0, Set.of());
    assertNull(state.choose(0, 0).penalties());
    assertEquals(1.5f, penalised(parameters(0, 0, 1.5f)).repetition());
    assertEquals(-2, penalised(parameters(0, -2, 1)).frequency());
    assertEquals(2, penalised(parameters(2, 0, 1)).presence());
  }

  private static SampleRequest.Penalties penalised(SamplingParameters parameters) {
    return new SamplingState(parameters, 1, 0, new int[] {1}, 0, Set.of()).choose(0, 0).penalties();
  }

  @Test
  void bansEndTokensUntilTheyMayCome() {
    var state = new SamplingState(parameters(0, 0, 1), 1, 0, new int[] {1}, 2, Set.of(9, 7));
    for (int outputs = 0; outputs < 2; outputs++) {
      SampleRequest request = state.choose(0, outputs);
      assertArrayEquals(new int[] {5, 7, 9}, request.biasTokens());
      assertArrayEquals(
          new float[] {-3, Float.NEGATIVE_INFINITY, Float.NEGATIVE_INFINITY}, request.biasValues());
    }
    assertArrayEquals(new int[] {5}, state.choose(0, 2).biasTokens());
  }

  @Test
  void drawsByPlaceAndNotByHistory() {
    var one = new SamplingState(parameters(0, 0, 1), 1, 0, new int[] {1}, 0, Set.of());
    var other = new SamplingState(parameters(0, 0, 1), 1, 0, new int[] {1}, 0, Set.of());
    other.choose(3, 0);
    other.choose(3, 1);
    assertEquals(one.choose(0, 2).uniform(), other.choose(9, 2).uniform());
    var sibling = new SamplingState(parameters(0, 0, 1), 1, 1, new int[] {1}, 0, Set.of());
    assertNotEquals(one.choose(0, 2).uniform(), sibling.choose(0, 2).uniform());
  }

  /// Means, neighbours and bits of the draws, over seeds, samples and positions that count up.
  @Test
  void drawsAreUniformAndUnrelated() {
    int n = 40_000;
    double[] draws = new double[n];
    for (int i = 0; i < n; i++) {
      draws[i] = CounterRandom.uniform(i % 20, (i / 20) % 20, i / 400);
    }
    double mean = Arrays.stream(draws).average().orElseThrow();
    // Standard errors: 1/sqrt(12 n) = 0.0014 and 1/(12 sqrt(n)) = 0.0004; five of each.
    assertEquals(0.5, mean, 0.0072);
    double covariance = 0;
    for (int i = 1; i < n; i++) {
      covariance += (draws[i] - 0.5) * (draws[i - 1] - 0.5) / n;
    }
    assertEquals(0, covariance, 0.0021);
    assertEquals(n, Arrays.stream(draws).distinct().count());
    assertEquals(0, Arrays.stream(draws).filter(d -> d < 0 || d >= 1).count());
  }
}
