package dev.tessera.kernels.testing;

import dev.tessera.kernels.CooledForm;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kvcache.CoolingRule;
import dev.tessera.kvcache.FormLayout;
import dev.tessera.kvcache.KvGeometry;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.SlabLayout;
import dev.tessera.kvcache.TileFormat;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/// Forms of a model's blocks, made of sample codes.
public final class SampleForms {

  private SampleForms() {}

  /// Every full group cools: its layers and heads take the given ladders in turn, a form that a
  /// ladder has no rung for keeps the last, and no ladder at all keeps tiles exact.
  ///
  /// @param exact the backend's exact slabs
  public static CooledForms of(
      KvGeometry kv,
      SlabLayout[] exact,
      CoolingRule rule,
      List<? extends @Nullable List<TileCode>> keys,
      List<? extends @Nullable List<TileCode>> values,
      int slabs) {
    var groups = new ArrayList<List<CooledForm>>();
    for (LayerGroup group : kv.groups()) {
      var forms = new ArrayList<CooledForm>();
      for (int form = 0; group.isFull() && form < rule.forms(); form++) {
        List<List<@Nullable TileCode>> keyCodes = codes(group, kv.kvHeads(), keys, form);
        List<List<@Nullable TileCode>> valueCodes = codes(group, kv.kvHeads(), values, form);
        var layout =
            new FormLayout(
                group,
                kv.kvHeads(),
                formats(keyCodes, exact[group.id()].key()),
                formats(valueCodes, exact[group.id()].value()));
        forms.add(new CooledForm(layout, keyCodes, valueCodes, slabs));
      }
      groups.add(forms);
    }
    return new CooledForms(rule, groups);
  }

  private static List<List<@Nullable TileCode>> codes(
      LayerGroup group, int kvHeads, List<? extends @Nullable List<TileCode>> ladders, int form) {
    IntFunction<@Nullable TileCode> code =
        tile -> {
          List<TileCode> ladder = ladders.get(tile % ladders.size());
          return ladder == null ? null : ladder.get(Math.min(form, ladder.size() - 1));
        };
    var layers = new ArrayList<List<@Nullable TileCode>>();
    for (int layer = 0; layer < group.layers().size(); layer++) {
      var heads = new ArrayList<@Nullable TileCode>();
      for (int head = 0; head < kvHeads; head++) {
        heads.add(code.apply(layer * kvHeads + head));
      }
      layers.add(heads);
    }
    return layers;
  }

  private static List<List<TileFormat>> formats(
      List<List<@Nullable TileCode>> codes, TileFormat exact) {
    var layers = new ArrayList<List<TileFormat>>();
    for (List<@Nullable TileCode> heads : codes) {
      var formats = new ArrayList<TileFormat>();
      for (TileCode code : heads) {
        formats.add(code == null ? exact : code.format());
      }
      layers.add(formats);
    }
    return layers;
  }
}
