package dev.tessera.server.eval;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kvcache.KvPolicyParser;
import dev.tessera.kvcache.PolicySetting;
import dev.tessera.server.eval.Sensitivities.Option;
import dev.tessera.server.eval.Sensitivities.Side;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class PolicySearchTest {

  private static final List<String> KEYS = List.of("s2+2", "s3+1", "s4+1", "i8", "exact");
  private static final List<String> VALUES = List.of("p2", "p3", "p4", "i8", "exact");
  private static final double[] BITS = {3, 3.75, 4.75, 8.5, 16};

  private static Option option(String rung, double bits, double damage) {
    return new Option(rung, bits, damage, 0);
  }

  /// Every bit divides the damage by four, from another height in every side.
  private static Sensitivities sensitivities(int layers, long seed) {
    var random = new Random(seed);
    List<Side> sides = new ArrayList<>();
    for (int i = 0; i < 2 * layers; i++) {
      double damage = Math.exp(2 * random.nextGaussian()) * 1e-4;
      List<Option> options = new ArrayList<>();
      for (int rung = 0; rung < BITS.length; rung++) {
        options.add(
            option(
                (i % 2 == 0 ? KEYS : VALUES).get(rung),
                BITS[rung],
                rung == BITS.length - 1 ? 0 : damage * Math.pow(4, 2 - BITS[rung])));
      }
      sides.add(new Side(i / 2, i % 2 == 1, options));
    }
    return new Sensitivities(sides, 0.5);
  }

  private static PolicySearch.Result bits(Sensitivities sensitivities, double budget) {
    return PolicySearch.of(
        sensitivities, new PolicySetting.Auto(OptionalDouble.of(budget), OptionalDouble.empty()));
  }

  private static PolicySearch.Result divergence(Sensitivities sensitivities, double budget) {
    return PolicySearch.of(
        sensitivities, new PolicySetting.Auto(OptionalDouble.empty(), OptionalDouble.of(budget)));
  }

  /// The least damage of all choices within a budget.
  private static double best(List<Side> sides, int side, double left) {
    if (side == sides.size()) {
      return 0;
    }
    double best = Double.POSITIVE_INFINITY;
    for (Option option : sides.get(side).options()) {
      if (option.bits() <= left + 1e-9) {
        best = Math.min(best, option.damage() + best(sides, side + 1, left - option.bits()));
      }
    }
    return best;
  }

  /// Climbing hulls reaches the optimum but for what the last step leaves over: it is no worse than
  /// the optimum of a budget that is smaller by one step.
  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6})
  void isAsGoodAsTryingEverything(long seed) {
    Sensitivities sensitivities = sensitivities(4, seed);
    for (double budget : new double[] {3.2, 3.6, 4.5, 6}) {
      PolicySearch.Result result = bits(sensitivities, budget);
      assertTrue(result.bits() <= budget + 1e-9, result.table());
      double damage = result.chosen().stream().mapToDouble(Option::damage).sum();
      double all = budget * sensitivities.sides().size();
      assertTrue(damage <= best(sensitivities.sides(), 0, all - 7.5), result.table());
    }
  }

  @Test
  void spendsNoMoreBitsThanADivergenceNeeds() {
    Sensitivities sensitivities = sensitivities(30, 9);
    double before = 0;
    for (double budget : new double[] {3e-4, 3e-5, 3e-6}) {
      PolicySearch.Result result = divergence(sensitivities, budget);
      assertTrue(result.divergence() <= budget, result.table());
      assertTrue(result.bits() >= before);
      before = result.bits();
      assertTrue(bits(sensitivities, result.bits() - 0.2).divergence() > budget);
    }
    assertEquals(0, divergence(sensitivities, 1e-12).divergence(), 1e-12);
  }

  @Test
  void namesAnOrdinaryPolicy() {
    PolicySearch.Result result = bits(sensitivities(30, 3), 3.9);
    assertEquals(
        new PolicySetting.Fixed(result.policy()), KvPolicyParser.parse(result.policy().text()));
    for (int i = 0; i < result.sides().size(); i++) {
      Side side = result.sides().get(i);
      var ladders = result.policy().layer(side.layer());
      assertEquals(
          result.chosen().get(i).rung(),
          (side.isValue() ? ladders.values() : ladders.keys()).toString());
    }
    assertTrue(result.table().contains(result.policy().text()));
  }

  @Test
  void refusesABudgetThatNothingMeets() {
    Sensitivities sensitivities = sensitivities(4, 1);
    var thrown = assertThrows(IllegalArgumentException.class, () -> bits(sensitivities, 2.5));
    assertEquals("auto:bits=2.5: the smallest formats take 3.00 bits", thrown.getMessage());
  }

  @Test
  void passesOverWhatAMixtureBeats() {
    List<Option> hull =
        PolicySearch.hull(
            List.of(
                option("i8", 8, 0),
                option("p2", 2, 10),
                option("p4", 4, 4),
                option("worse", 3, 11),
                option("above the line", 3, 8),
                option("dear", 9, 0)));
    assertEquals(List.of("p2", "p4", "i8"), hull.stream().map(Option::rung).toList());
  }

  @Test
  void areRememberedToTheLastBit() {
    Sensitivities sensitivities = sensitivities(7, 5);
    byte[] bytes = sensitivities.bytes();
    assertEquals(sensitivities, Sensitivities.of(bytes));
    assertThrows(
        IllegalArgumentException.class,
        () -> Sensitivities.of(Arrays.copyOf(bytes, bytes.length - 1)));
    assertThrows(
        IllegalArgumentException.class,
        () -> Sensitivities.of(Arrays.copyOf(bytes, bytes.length + 1)));
    assertArrayEquals(bytes, Sensitivities.of(bytes).bytes());
  }
}
