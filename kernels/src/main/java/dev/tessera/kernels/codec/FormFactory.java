package dev.tessera.kernels.codec;

import dev.tessera.kernels.CooledForm;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kvcache.CodedFormat.Role;
import dev.tessera.kvcache.FormLayout;
import dev.tessera.kvcache.FormPlan;
import dev.tessera.kvcache.FormPlan.TilePlan;
import dev.tessera.kvcache.KvCache;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.Rung;
import dev.tessera.kvcache.SlabLayout;
import dev.tessera.kvcache.TileFormat;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// Makes the forms that a plan asks for: a code for every tile of every form.
public final class FormFactory {

  /// What was learned of a model's keys, and of its values where a policy has codewords for them.
  public interface KeyKnowledge {

    /// Nothing.
    KeyKnowledge NONE =
        new KeyKnowledge() {
          @Override
          public SpectralCodes.@Nullable Spectrum spectrum(int layer, int kvHead) {
            return null;
          }

          @Override
          public @Nullable Turn turn(int layer, int kvHead) {
            return null;
          }
        };

    /// The basis for the spectral rungs, or null where planes serve in their place.
    SpectralCodes.@Nullable Spectrum spectrum(int layer, int kvHead);

    /// The mean that turns with the position, or null where it is not worth its arithmetic.
    @Nullable Turn turn(int layer, int kvHead);

    /// Codewords for pairs of channels, or null where universal ones serve.
    ///
    /// @param width bits of a channel
    default @Nullable PairTable pairs(Role role, int layer, int kvHead, int width) {
      return null;
    }

    /// A hash of all of it: codes that depend on something else mean something else.
    default byte[] epoch() {
      return new byte[0];
    }
  }

  private final FormPlan plan;
  private final DecoderSpec spec;
  private final List<SlabLayout> exact;
  private final KeyKnowledge keys;

  /// @param exact layouts of the exact slabs, one per layer group
  public FormFactory(FormPlan plan, DecoderSpec spec, List<SlabLayout> exact, KeyKnowledge keys) {
    this.plan = plan;
    this.spec = spec;
    this.exact = exact;
    this.keys = keys;
  }

  /// The forms of all layer groups.
  ///
  /// @param budgetBytes that slabs of all forms may take together
  public CooledForms create(long budgetBytes) {
    List<List<CooledForm>> groups = new ArrayList<>();
    for (LayerGroup group : spec.kv().groups()) {
      groups.add(plan.cools(group) ? forms(group, budgetBytes) : List.of());
    }
    return new CooledForms(plan.rule(), groups);
  }

  private List<CooledForm> forms(LayerGroup group, long budgetBytes) {
    List<List<List<@Nullable TileCode>>> keyCodes = new ArrayList<>(); // [layers][kvHeads][forms]
    List<List<List<@Nullable TileCode>>> valueCodes = new ArrayList<>();
    for (int layer : group.layers()) {
      int[][] widths = spectralWidths(layer);
      List<List<@Nullable TileCode>> keyHeads = new ArrayList<>();
      List<List<@Nullable TileCode>> valueHeads = new ArrayList<>();
      for (int head = 0; head < spec.kvHeads(); head++) {
        keyHeads.add(codes(Role.KEY, layer, head, widths[head]));
        valueHeads.add(codes(Role.VALUE, layer, head, widths[head]));
      }
      keyCodes.add(keyHeads);
      valueCodes.add(valueHeads);
    }
    SlabLayout slab = exact.get(group.id());
    List<CooledForm> forms = new ArrayList<>();
    for (int form = 0; form < plan.forms().size(); form++) {
      List<List<@Nullable TileCode>> formKeys = ofForm(keyCodes, form);
      List<List<@Nullable TileCode>> formValues = ofForm(valueCodes, form);
      var layout =
          new FormLayout(
              group,
              spec.kvHeads(),
              formats(formKeys, slab.key()),
              formats(formValues, slab.value()));
      forms.add(
          new CooledForm(layout, formKeys, formValues, KvCache.slabCapacity(layout, budgetBytes)));
    }
    return forms;
  }

  private static List<List<@Nullable TileCode>> ofForm(
      List<List<List<@Nullable TileCode>>> codes, int form) {
    List<List<@Nullable TileCode>> layers = new ArrayList<>();
    for (List<List<@Nullable TileCode>> heads : codes) {
      List<@Nullable TileCode> ofHeads = new ArrayList<>();
      heads.forEach(forms -> ofHeads.add(forms.get(form)));
      layers.add(ofHeads);
    }
    return layers;
  }

  private static List<List<TileFormat>> formats(
      List<List<@Nullable TileCode>> codes, TileFormat exact) {
    List<List<TileFormat>> layers = new ArrayList<>();
    for (List<@Nullable TileCode> heads : codes) {
      List<TileFormat> formats = new ArrayList<>();
      for (TileCode code : heads) {
        formats.add(code == null ? exact : code.format());
      }
      layers.add(formats);
    }
    return layers;
  }

  /// How the heads of a layer whose keys are in a learned basis share their bits:
  /// `[kvHeads][groups]`, empty for a head without.
  private int[][] spectralWidths(int layer) {
    var widths = new int[spec.kvHeads()][0];
    Rung rung = plan.forms().getFirst().keys().get(layer).full();
    if (rung.family() != Rung.Family.SPECTRAL) {
      return widths;
    }
    List<Integer> heads = new ArrayList<>();
    List<double[]> variances = new ArrayList<>();
    for (int head = 0; head < widths.length; head++) {
      SpectralCodes.Spectrum spectrum = keys.spectrum(layer, head);
      if (spectrum != null) {
        heads.add(head);
        variances.add(spectrum.variances());
      }
    }
    List<int[]> shares = SpectralCodes.allocate(variances, rung.bits());
    for (int i = 0; i < heads.size(); i++) {
      widths[heads.get(i)] = shares.get(i);
    }
    return widths;
  }

  /// The codes of one tile in every form.
  ///
  /// @param spectralWidths its groups' bits, where it is in a learned basis
  private List<@Nullable TileCode> codes(Role role, int layer, int kvHead, int[] spectralWidths) {
    List<TilePlan> plans =
        plan.forms().stream()
            .map(form -> (role == Role.KEY ? form.keys() : form.values()).get(layer))
            .toList();
    TilePlan first = plans.getFirst();
    Rung full = first.full();
    Turn turn = role == Role.KEY ? keys.turn(layer, kvHead) : null;
    int headDim = spec.headDim();
    return switch (full.family()) {
      case EXACT -> Collections.nCopies(plans.size(), null);
      case INT8 -> copies(plans, PlainCodes.i8(role, headDim, turn));
      case PLANES -> planes(role, plans, first, turn);
      case CHANNELS -> copies(plans, PlainCodes.channels(headDim, full.bits(), turn));
      case PAIRS -> {
        PairTable pairs = keys.pairs(role, layer, kvHead, full.bits());
        yield copies(
            plans,
            pairs == null
                ? PairCodes.universal(role, headDim, full.bits(), turn)
                : PairCodes.of(role, headDim, full.bits(), pairs, turn));
      }
      case LOW_RANK -> {
        SpectralCodes.Spectrum spectrum = keys.spectrum(layer, kvHead);
        yield spectrum == null
            ? planes(role, plans, first, turn)
            : copies(plans, SpectralCodes.lowRank(spectrum, full.bits(), full.spared(), turn));
      }
      case SPECTRAL -> {
        SpectralCodes.Spectrum spectrum = keys.spectrum(layer, kvHead);
        yield spectrum == null
            ? planes(role, plans, first, turn)
            : new ArrayList<>(
                SpectralCodes.ladder(
                    spectrum,
                    full.bits(),
                    spectralWidths,
                    map(plans, step -> full.bits() - step.rung().bits()),
                    full.spared(),
                    turn));
      }
    };
  }

  private List<@Nullable TileCode> planes(
      Role role, List<TilePlan> plans, TilePlan first, @Nullable Turn turn) {
    Rung full = first.full();
    int headDim = spec.headDim();
    return first.cut()
        ? new ArrayList<>(
            PlainCodes.ladder(
                role,
                headDim,
                full.bits(),
                map(plans, step -> step.rung().bits()),
                full.spared(),
                turn))
        : copies(plans, PlainCodes.planes(role, headDim, full.bits(), full.spared(), turn));
  }

  private static List<@Nullable TileCode> copies(List<TilePlan> plans, TileCode code) {
    return Collections.nCopies(plans.size(), code);
  }

  private static List<Integer> map(List<TilePlan> plans, Function<TilePlan, Integer> value) {
    return plans.stream().map(value).toList();
  }
}
