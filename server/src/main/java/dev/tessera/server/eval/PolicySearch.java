package dev.tessera.server.eval;

import dev.tessera.kvcache.KvPolicy;
import dev.tessera.kvcache.KvPolicyParser;
import dev.tessera.kvcache.PolicySetting;
import dev.tessera.server.eval.Sensitivities.Option;
import dev.tessera.server.eval.Sensitivities.Side;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/// Gives every layer's keys and values the rung that serves a budget best.
///
/// Damages of single sides are small and add up. Then the best choice for a budget lies where no
/// bit does more good elsewhere: every side climbs along the lower convex hull of its options, the
/// step that saves most divergence for a bit first (Shoham and Gersho, 1988).
public final class PolicySearch {

  /// Where nothing is said: the bits of the preset `balanced`.
  static final double DEFAULT_BITS = 3.5;

  /// @param chosen one option for every side
  /// @param bits on average
  /// @param divergence mean, as predicted
  public record Result(
      KvPolicy policy, List<Side> sides, List<Option> chosen, double bits, double divergence) {

    /// The choice, a line for every layer.
    public String table() {
      var text = new StringBuilder();
      text.append(
          String.format(
              Locale.ROOT, "%5s  %-6s %9s  %-6s %9s%n", "layer", "keys", "KLD", "values", "KLD"));
      for (int i = 0; i + 1 < chosen.size(); i += 2) {
        Option key = chosen.get(i);
        Option value = chosen.get(i + 1);
        text.append(
            String.format(
                Locale.ROOT,
                "%5d  %-6s %9.6f  %-6s %9.6f%n",
                sides.get(i).layer(),
                key.rung(),
                key.continued(),
                value.rung(),
                value.continued()));
      }
      return text.append(
              String.format(
                  Locale.ROOT,
                  "%.2f bits, mean KLD of about %.4f expected: %s%n",
                  bits,
                  divergence,
                  policy.text()))
          .toString();
    }
  }

  private record Step(int side, Option to, double gain) {}

  private final List<Side> sides;
  private final double scale;
  private final List<Option> chosen = new ArrayList<>();

  private PolicySearch(Sensitivities sensitivities) {
    sides = sensitivities.sides();
    scale = sensitivities.scale();
  }

  /// @throws IllegalArgumentException if no choice of rungs meets the budget
  public static Result of(Sensitivities sensitivities, PolicySetting.Auto budget) {
    var search = new PolicySearch(sensitivities);
    return budget.divergence().isPresent()
        ? search.within(budget.divergence().getAsDouble())
        : search.affordable(budget.bits().orElse(DEFAULT_BITS));
  }

  /// The least divergence that so many bits buy.
  private Result affordable(double budget) {
    List<Step> steps = start();
    double left = (budget - bits()) * sides.size();
    if (left < 0) {
      throw new IllegalArgumentException(
          "auto:bits=%s: the smallest formats take %.2f bits".formatted(budget, bits()));
    }
    boolean[] rests = new boolean[sides.size()];
    for (Step step : steps) {
      double cost = step.to.bits() - chosen.get(step.side).bits();
      if (!rests[step.side] && cost <= left) {
        left -= cost;
        chosen.set(step.side, step.to);
      } else {
        rests[step.side] = true; // a later step of this side builds on this one
      }
    }
    return result();
  }

  /// The fewest bits that keep the divergence so small.
  private Result within(double budget) {
    for (Step step : start()) {
      if (divergence() <= budget) {
        break;
      }
      chosen.set(step.side, step.to);
    }
    return result();
  }

  /// Gives every side its cheapest option, and returns the steps up from there, the best first.
  private List<Step> start() {
    chosen.clear();
    List<Step> steps = new ArrayList<>();
    for (int side = 0; side < sides.size(); side++) {
      List<Option> hull = hull(sides.get(side).options());
      chosen.add(hull.getFirst());
      for (int i = 1; i < hull.size(); i++) {
        steps.add(new Step(side, hull.get(i), gain(hull.get(i - 1), hull.get(i))));
      }
    }
    steps.sort(Comparator.comparingDouble(step -> -step.gain)); // stable: hulls stay in order
    return steps;
  }

  private static double gain(Option from, Option to) {
    return (from.damage() - to.damage()) / (to.bits() - from.bits());
  }

  /// The options that no mixture of two others beats, by rising bits and falling damage.
  static List<Option> hull(List<Option> options) {
    List<Option> sorted = new ArrayList<>(options);
    sorted.sort(Comparator.comparingDouble(Option::bits).thenComparingDouble(Option::damage));
    List<Option> hull = new ArrayList<>();
    for (Option option : sorted) {
      if (!hull.isEmpty()
          && (option.damage() >= hull.getLast().damage()
              || option.bits() <= hull.getLast().bits())) {
        continue;
      }
      while (hull.size() > 1
          && gain(hull.get(hull.size() - 2), hull.getLast()) <= gain(hull.getLast(), option)) {
        hull.removeLast();
      }
      hull.add(option);
    }
    return hull;
  }

  private double bits() {
    return chosen.stream().mapToDouble(Option::bits).average().orElse(0);
  }

  private double divergence() {
    return scale * chosen.stream().mapToDouble(Option::continued).sum();
  }

  private Result result() {
    return new Result(policy(), sides, List.copyOf(chosen), bits(), divergence());
  }

  private KvPolicy policy() {
    String keys = mostUsual(false);
    String values = mostUsual(true);
    var text = new StringBuilder("exact:first=64,last=256;k=" + keys + ";v=" + values);
    for (int i = 0; i < sides.size(); i++) {
      Side side = sides.get(i);
      String rung = chosen.get(i).rung();
      if (!rung.equals(side.isValue() ? values : keys)) {
        text.append(";layers.%d.%s=%s".formatted(side.layer(), side.isValue() ? "v" : "k", rung));
      }
    }
    return switch (KvPolicyParser.parse(text.toString())) {
      case PolicySetting.Fixed(KvPolicy policy) -> policy;
      case PolicySetting.Auto auto -> throw new AssertionError(text);
    };
  }

  private String mostUsual(boolean ofValues) {
    Map<String, Integer> counts = new TreeMap<>();
    for (int i = 0; i < sides.size(); i++) {
      if (sides.get(i).isValue() == ofValues) {
        counts.merge(chosen.get(i).rung(), 1, Integer::sum);
      }
    }
    return counts.entrySet().stream().max(Map.Entry.comparingByValue()).orElseThrow().getKey();
  }
}
