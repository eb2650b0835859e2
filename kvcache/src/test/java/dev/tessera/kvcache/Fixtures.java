package dev.tessera.kvcache;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// Small caches for tests: one layer per group, one KV head of 8 elements, so a slab of a group is
/// 2 KiB in f16.
final class Fixtures {
  static final long SLAB = 2048;
  static final LayerGroup FULL = new LayerGroup(0, List.of(0), 0, 0);

  private Fixtures() {}

  static LayerGroup window(int id, int window, int sinkTokens) {
    return new LayerGroup(id, List.of(id), window, sinkTokens);
  }

  static KvCache cache(int slabs, LayerGroup... groups) {
    return cache(slabs, (group, form, slab) -> {}, groups);
  }

  static KvCache cache(int slabs, SlabDiscard discard, LayerGroup... groups) {
    KvGeometry geometry = geometry(groups);
    return new KvCache(
        geometry,
        BlockForms.exact(layouts(groups)),
        KvPolicy.EXACT,
        new MemoryBudget(slabs * SLAB),
        new byte[] {1, 2, 3},
        discard);
  }

  static KvGeometry geometry(LayerGroup... groups) {
    return new KvGeometry(Arrays.asList(groups), groups.length, 1, 8);
  }

  /// A cache whose full groups cool by a policy without learned formats.
  static KvCache cache(long bytes, KvPolicy policy, SlabDiscard discard, LayerGroup... groups) {
    KvGeometry geometry = geometry(groups);
    return new KvCache(
        geometry,
        forms(policy, geometry),
        policy,
        new MemoryBudget(bytes),
        new byte[] {1, 2, 3},
        discard);
  }

  static BlockForms forms(KvPolicy policy, KvGeometry geometry) {
    FormPlan plan = FormPlan.of(policy, geometry);
    List<SlabLayout> exact = layouts(geometry.groups().toArray(new LayerGroup[0]));
    List<List<FormLayout>> cooled = new ArrayList<>();
    for (LayerGroup group : geometry.groups()) {
      List<FormLayout> forms = new ArrayList<>();
      for (FormPlan.Form form : plan.cools(group) ? plan.forms() : List.<FormPlan.Form>of()) {
        int layer = group.layers().getFirst();
        SlabLayout slab = exact.get(group.id());
        forms.add(
            FormLayout.uniform(
                group,
                1,
                format(form.keys().get(layer).rung(), slab.key(), CodedFormat.Role.KEY),
                format(form.values().get(layer).rung(), slab.value(), CodedFormat.Role.VALUE)));
      }
      cooled.add(forms);
    }
    return new BlockForms(plan.rule(), exact, cooled, new byte[0]);
  }

  private static TileFormat format(Rung rung, TileFormat exact, CodedFormat.Role role) {
    return rung.isExact()
        ? exact
        : new CodedFormat(
            rung.toString(), role, exact.shape(), List.of(rung.bits()), false, rung.spared());
  }

  static List<SlabLayout> layouts(LayerGroup... groups) {
    List<SlabLayout> layouts = new ArrayList<>();
    for (LayerGroup group : groups) {
      TileShape shape = TileShape.of(8);
      layouts.add(
          new SlabLayout(
              group,
              1,
              new ExactFormat(ElementType.F16, ExactFormat.Arrangement.LANES_16, shape),
              new ExactFormat(ElementType.F16, ExactFormat.Arrangement.TOKEN_MAJOR, shape)));
    }
    return layouts;
  }

  /// Tokens `first, first + 1, …`.
  static int[] tokens(int first, int count) {
    int[] tokens = new int[count];
    for (int i = 0; i < count; i++) {
      tokens[i] = first + i;
    }
    return tokens;
  }

  static SequenceCache open(KvCache cache, int[] tokens) {
    HashChain chain = new HashChain(cache.root(""));
    return cache.open(cache.match(chain, tokens, tokens.length));
  }

  /// Opens a sequence and computes all its tokens.
  static SequenceCache compute(KvCache cache, int[] tokens) {
    SequenceCache sequence = open(cache, tokens);
    int missing = tokens.length - sequence.computedTokens();
    if (cache.reserve(sequence, missing) != missing) {
      throw new IllegalStateException("no room for " + missing + " tokens");
    }
    cache.publish(sequence, tokens, tokens.length);
    cache.checkIntegrity();
    return sequence;
  }
}
