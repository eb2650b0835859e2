package dev.tessera.kernels;

import dev.tessera.kernels.codec.CodeMemory;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kvcache.CoolingRule;
import dev.tessera.kvcache.FormLayout;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.SlabLayout;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The forms besides the exact one in which a session's blocks may exist, and the rule by which
/// queries read them.
///
/// Form f of a tile is the cut of its form f - 1, or, where that one is exact, its code. So it does
/// not matter which of them a tile is cooled from: a cooling that passes over forms is defined as
/// the chain of coolings through them.
///
/// @param groups `[groups][form - 1]`; an empty list for a group that never cools. Empty altogether
///   where none does
public record CooledForms(CoolingRule rule, List<List<CooledForm>> groups) {

  /// Every block is exact, always.
  public static final CooledForms NONE = new CooledForms(CoolingRule.NEVER, List.of());

  public CooledForms {
    var copies = new ArrayList<List<CooledForm>>();
    for (int group = 0; group < groups.size(); group++) {
      List<CooledForm> forms = List.copyOf(groups.get(group));
      if (!forms.isEmpty() && forms.size() != rule.forms()) {
        throw new IllegalArgumentException(
            "layer group %d has %d cooled forms; the rule has ages for %d"
                .formatted(group, forms.size(), rule.forms()));
      }
      for (int form = 1; form < forms.size(); form++) {
        requireRungs(forms.get(form - 1).keys(), forms.get(form).keys(), "keys", form);
        requireRungs(forms.get(form - 1).values(), forms.get(form).values(), "values", form);
      }
      for (CooledForm form : forms) {
        if (form.layout().group().id() != group || !form.layout().group().isFull()) {
          throw new IllegalArgumentException(
              "a form of layer group %s at index %d; groups with a window stay exact"
                  .formatted(form.layout().group(), group));
        }
      }
      copies.add(forms);
    }
    groups = List.copyOf(copies);
  }

  /// Tiles that cool by being copied: how they differ from exact ones is no codec's doing.
  ///
  /// @param exact `[groups]`
  /// @param slabs slabs of each form at most
  public static CooledForms copies(
      CoolingRule rule, DecoderSpec spec, SlabLayout[] exact, int slabs) {
    var groups = new ArrayList<List<CooledForm>>();
    for (LayerGroup group : spec.kv().groups()) {
      SlabLayout slab = exact[group.id()];
      List<@Nullable TileCode> none = Collections.nCopies(spec.kvHeads(), null);
      List<List<@Nullable TileCode>> codes = Collections.nCopies(group.layers().size(), none);
      var layout = FormLayout.uniform(group, spec.kvHeads(), slab.key(), slab.value());
      var form = new CooledForm(layout, codes, codes, slabs);
      groups.add(group.isFull() ? Collections.nCopies(rule.forms(), form) : List.of());
    }
    return new CooledForms(rule, groups);
  }

  /// Every tile of a form can be made from the one before, with nothing but planes dropped.
  private static void requireRungs(
      List<List<@Nullable TileCode>> before,
      List<List<@Nullable TileCode>> after,
      String what,
      int form) {
    for (int layer = 0; layer < before.size(); layer++) {
      for (int head = 0; head < before.get(layer).size(); head++) {
        TileCode from = before.get(layer).get(head);
        TileCode to = after.get(layer).get(head);
        if (from != null && (to == null || !from.canBeCutTo(to))) {
          throw new IllegalArgumentException(
              "%s of layer %d in its group, KV head %d: form %d in %s cannot be cut to form %d in %s"
                  .formatted(
                      what,
                      layer,
                      head,
                      form,
                      from.format().name(),
                      form + 1,
                      to == null ? "exact" : to.format().name()));
        }
      }
    }
  }

  /// The cooled forms of a group, form 1 first; none if it never cools.
  public List<CooledForm> of(int group) {
    return groups.isEmpty() ? List.of() : groups.get(group);
  }

  /// Bytes of what the tiles are coded with: bases, means, codewords and levels.
  public long codeBytes() {
    List<@Nullable TileCode> codes = new ArrayList<>();
    for (List<CooledForm> forms : groups) {
      for (CooledForm form : forms) {
        form.keys().forEach(codes::addAll);
        form.values().forEach(codes::addAll);
      }
    }
    return CodeMemory.of(codes);
  }

  /// The form in which a query in block `queryBlock` reads block `block` of a group.
  public int form(int group, int queryBlock, int block) {
    return of(group).isEmpty() ? 0 : rule.form(queryBlock, block);
  }

  /// Checks that these forms are of this decoder, and the first that its session hears of.
  ///
  /// @param before what the session knew
  /// @throws IllegalStateException if it has been told others
  public void requireFirst(CooledForms before, DecoderSpec spec) {
    if (!before.groups().isEmpty()) {
      throw new IllegalStateException("the forms of this session were announced already");
    }
    Shapes.require("groups of cooled forms", groups.size(), spec.kv().groups().size());
    for (List<CooledForm> forms : groups) {
      for (CooledForm form : forms) {
        int id = form.layout().group().id();
        if (!form.layout().group().equals(spec.kv().groups().get(id))
            || form.layout().kvHeads() != spec.kvHeads()) {
          throw new IllegalArgumentException(
              "a form of %s with %d KV heads; the model has %s with %d"
                  .formatted(
                      form.layout().group(),
                      form.layout().kvHeads(),
                      spec.kv().groups().get(id),
                      spec.kvHeads()));
        }
      }
    }
  }
}
