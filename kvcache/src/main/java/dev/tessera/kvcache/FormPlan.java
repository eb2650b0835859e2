package dev.tessera.kvcache;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/// What a policy means for a model: which rung every layer's keys and values have in every form.
///
/// Layers with a window stay exact: their blocks go before they could cool.
///
/// @param forms from form 1 on; as many as the rule has ages
public record FormPlan(CoolingRule rule, List<Form> forms) {

  /// One form of a block.
  ///
  /// @param keys `[layers]` of the model
  /// @param values the same
  public record Form(List<TilePlan> keys, List<TilePlan> values) {
    public Form {
      keys = List.copyOf(keys);
      values = List.copyOf(values);
    }
  }

  /// How a layer's keys or values are stored in one form.
  ///
  /// @param full the rung that its codes are cut from; equal to `rung` where nothing was cut yet
  /// @param cut whether codes of the full rung are cut in this form or in a later one
  public record TilePlan(Rung rung, Rung full, boolean cut) {
    static final TilePlan EXACT = new TilePlan(Rung.EXACT, Rung.EXACT, false);
  }

  public FormPlan {
    forms = List.copyOf(forms);
    if (forms.size() != rule.forms()) {
      throw new IllegalArgumentException(
          forms.size() + " forms for a rule of " + rule.forms() + " ages");
    }
  }

  /// The plan of a policy for a model.
  ///
  /// @throws IllegalArgumentException if the policy names layers that the model does not have
  public static FormPlan of(KvPolicy policy, KvGeometry geometry) {
    if (!policy.layers().isEmpty() && policy.layers().lastKey() >= geometry.layers()) {
      throw new IllegalArgumentException(
          "cache policy names layer %d; the model has layers 0 to %d (--kv-cache, kv-cache.policy)"
              .formatted(policy.layers().lastKey(), geometry.layers() - 1));
    }
    boolean[] cools = new boolean[geometry.layers()];
    for (LayerGroup group : geometry.groups()) {
      group.layers().forEach(layer -> cools[layer] = group.isFull());
    }
    List<Form> forms = new ArrayList<>();
    for (int age : policy.ages()) {
      forms.add(
          new Form(
              plans(policy, cools, age, KvPolicy.LayerLadders::keys),
              plans(policy, cools, age, KvPolicy.LayerLadders::values)));
    }
    return new FormPlan(policy.rule(), forms);
  }

  private static List<TilePlan> plans(
      KvPolicy policy, boolean[] cools, int age, Function<KvPolicy.LayerLadders, Ladder> side) {
    List<TilePlan> plans = new ArrayList<>();
    for (int layer = 0; layer < cools.length; layer++) {
      Ladder ladder = side.apply(policy.layer(layer));
      plans.add(
          cools[layer] && !ladder.isExact()
              ? new TilePlan(ladder.at(age), ladder.full(), ladder.isCut())
              : TilePlan.EXACT);
    }
    return plans;
  }

  /// Whether any tile of a group is ever anything but exact.
  public boolean cools(LayerGroup group) {
    for (Form form : forms) {
      for (int layer : group.layers()) {
        if (!form.keys.get(layer).rung().isExact() || !form.values.get(layer).rung().isExact()) {
          return true;
        }
      }
    }
    return false;
  }
}
