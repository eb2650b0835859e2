package dev.tessera.kvcache;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/// The forms in which a model's blocks may exist, and which of them a query reads.
///
/// @param exact layouts of the exact slabs, one per layer group
/// @param cooled `[groups][form - 1]`; an empty list for a group that never cools
/// @param epoch content hash of the learned tables that the codes depend on; empty where nothing is
///   learned
public record BlockForms(
    CoolingRule rule, List<SlabLayout> exact, List<List<FormLayout>> cooled, byte[] epoch) {

  public BlockForms {
    exact = List.copyOf(exact);
    cooled = cooled.stream().map(List::copyOf).toList();
    if (cooled.size() != exact.size()) {
      throw new IllegalArgumentException(
          cooled.size() + " groups of cooled forms for " + exact.size() + " layer groups");
    }
    for (List<FormLayout> forms : cooled) {
      if (!forms.isEmpty() && forms.size() != rule.forms()) {
        throw new IllegalArgumentException(
            forms.size() + " cooled forms; the rule has ages for " + rule.forms());
      }
    }
    epoch = epoch.clone();
  }

  /// Exact blocks only.
  public static BlockForms exact(List<SlabLayout> exact) {
    return new BlockForms(
        CoolingRule.NEVER,
        exact,
        exact.stream().map(slab -> List.<FormLayout>of()).toList(),
        new byte[0]);
  }

  /// Whether blocks of a group ever cool.
  boolean cools(int group) {
    return !cooled.get(group).isEmpty();
  }

  /// Forms in which blocks of a group may exist, the exact one included.
  int count(int group) {
    return 1 + cooled.get(group).size();
  }

  /// Bytes of a slab, `[groups][forms]`.
  long[][] slabBytes() {
    long[][] bytes = new long[exact.size()][];
    for (int g = 0; g < bytes.length; g++) {
      bytes[g] = new long[1 + cooled.get(g).size()];
      bytes[g][0] = exact.get(g).slabBytes();
      for (int f = 1; f < bytes[g].length; f++) {
        bytes[g][f] = cooled.get(g).get(f - 1).slabBytes();
      }
    }
    return bytes;
  }

  /// How much of what a query reads a form loses, `[groups][forms]`: the mean square error of keys
  /// and values, which falls by four with every bit that is stored, as a share of their own
  /// squares. Only to compare forms with.
  double[][] errors() {
    double[][] errors = new double[exact.size()][];
    for (int g = 0; g < errors.length; g++) {
      errors[g] = new double[1 + cooled.get(g).size()];
      for (int f = 1; f < errors[g].length; f++) {
        FormLayout form = cooled.get(g).get(f - 1);
        for (List<List<TileFormat>> side : List.of(form.keys(), form.values())) {
          for (List<TileFormat> heads : side) {
            errors[g][f] += heads.stream().mapToDouble(BlockForms::error).average().orElse(0);
          }
        }
      }
    }
    return errors;
  }

  private static double error(TileFormat format) {
    double bits = 8.0 * format.tileBytes() / format.shape().elements();
    return format instanceof CodedFormat ? Math.pow(4, -bits) : 0;
  }

  /// The forms of a group, for pictures.
  List<CachePicture.Form> picture(int group) {
    SlabLayout slab = exact.get(group);
    int layers = slab.group().layers().size();
    List<CachePicture.Form> forms = new ArrayList<>();
    forms.add(
        new CachePicture.Form(
            slab.slabBytes(),
            Collections.nCopies(layers, slab.key().name()),
            Collections.nCopies(layers, slab.value().name())));
    for (FormLayout form : cooled.get(group)) {
      forms.add(
          new CachePicture.Form(
              form.slabBytes(),
              form.keys().stream().map(heads -> heads.getFirst().name()).toList(),
              form.values().stream().map(heads -> heads.getFirst().name()).toList()));
    }
    return forms;
  }

  /// Names and versions of all formats, for the block hashes.
  String describe() {
    StringBuilder text = new StringBuilder();
    for (int g = 0; g < exact.size(); g++) {
      SlabLayout slab = exact.get(g);
      text.append(slab.group().layers()).append(':').append(slab.kvHeads());
      describe(text, slab.key());
      describe(text, slab.value());
      for (FormLayout form : cooled.get(g)) {
        text.append('/');
        form.keys().forEach(heads -> heads.forEach(format -> describe(text, format)));
        form.values().forEach(heads -> heads.forEach(format -> describe(text, format)));
      }
      text.append(';');
    }
    return text.toString();
  }

  private static void describe(StringBuilder text, TileFormat format) {
    text.append(':').append(format.name()).append('/').append(format.version());
    text.append('/').append(format.shape().headDim());
    if (format instanceof CodedFormat coded) {
      text.append('/')
          .append(coded.coding())
          .append(coded.widths())
          .append(coded.centred())
          .append(coded.spared());
    }
  }
}
