package dev.tessera.kvcache;

import java.util.List;
import org.jspecify.annotations.Nullable;

/// The rungs that a layer's keys, or its values, go down with age. Without rungs they stay exact.
///
/// Only codes that are nested in each other can share a ladder: then cooling drops the lowest
/// planes, and nothing is encoded twice.
public record Ladder(List<Step> steps) {

  /// Exact at every age.
  public static final Ladder EXACT = new Ladder(List.of());

  /// A rung and where it begins.
  ///
  /// @param fromAge tokens behind the query from which on a tile has this form; whole blocks
  public record Step(Rung rung, int fromAge) {}

  public Ladder {
    steps = List.copyOf(steps);
    for (int i = 0; i < steps.size(); i++) {
      requireStep(steps.get(i), i == 0 ? null : steps.get(i - 1));
    }
  }

  private static void requireStep(Step step, @Nullable Step before) {
    boolean follows =
        before == null
            ? !step.rung.isExact() && step.fromAge > 0
            : step.fromAge > before.fromAge && isCutFrom(step.rung, before.rung);
    if (!follows || step.fromAge % TileShape.BLOCK_TOKENS != 0) {
      throw new IllegalArgumentException(
          "%s at age %d cannot follow %s".formatted(step.rung, step.fromAge, before));
    }
  }

  /// Whether a rung is made from another one by dropping planes.
  static boolean isCutFrom(Rung rung, Rung from) {
    return rung.family() == from.family()
        && rung.family().isLadder()
        && rung.bits() < from.bits()
        && rung.spared() == from.spared();
  }

  public boolean isExact() {
    return steps.isEmpty();
  }

  /// The rung of tiles that lie more than `age` tokens behind the query.
  public Rung at(int age) {
    Rung rung = Rung.EXACT;
    for (Step step : steps) {
      if (step.fromAge <= age) {
        rung = step.rung;
      }
    }
    return rung;
  }

  /// The rung that the codes of all others are cut from; exact where there is none.
  public Rung full() {
    return isExact() ? Rung.EXACT : steps.getFirst().rung;
  }

  /// Whether codes of the first rung are ever cut.
  public boolean isCut() {
    return steps.size() > 1;
  }

  /// As policies write it, for example `s4,s3@4096`.
  @Override
  public String toString() {
    if (isExact()) {
      return Rung.EXACT.toString();
    }
    StringBuilder text = new StringBuilder(full().toString());
    for (Step step : steps.subList(1, steps.size())) {
      text.append(',').append(step.rung).append('@').append(step.fromAge);
    }
    return text.toString();
  }
}
