package dev.tessera.kvcache;

import java.util.List;
import java.util.Map;

/// Which form a tile takes with age, for keys and values, and per layer where it differs.
///
/// @param firstTokens tokens at the start of a sequence that stay exact
/// @param lastTokens tokens before a query that stay exact
/// @param keys rungs of the keys between those, by age; empty means exact
/// @param values the same for values
/// @param layers rungs of single layers, for keys and values alike
public record KvPolicy(
    int firstTokens,
    int lastTokens,
    List<Rung> keys,
    List<Rung> values,
    Map<Integer, List<Rung>> layers) {

  /// Every tile as it was computed.
  public static final KvPolicy EXACT = new KvPolicy(0, 0, List.of(), List.of(), Map.of());

  /// One form, from an age on.
  ///
  /// @param format for example `p4`
  /// @param sparedTokens tokens of each tile that stay exact
  /// @param fromAge tokens behind the query from which on a tile has this form
  public record Rung(String format, int sparedTokens, int fromAge) {
    @Override
    public String toString() {
      return format
          + (sparedTokens > 0 ? "+" + sparedTokens : "")
          + (fromAge > 0 ? "@" + fromAge : "");
    }
  }

  public KvPolicy {
    keys = List.copyOf(keys);
    values = List.copyOf(values);
    layers = Map.copyOf(layers);
  }

  /// Whether no tile is ever anything but exact.
  public boolean isExact() {
    return keys.isEmpty() && values.isEmpty() && layers.isEmpty();
  }

  /// The canonical text: equal policies have equal texts, whatever way they were written.
  public String text() {
    if (isExact()) {
      return "exact";
    }
    StringBuilder text = new StringBuilder();
    text.append("exact:first=").append(firstTokens).append(",last=").append(lastTokens);
    appendRungs(text, "k", keys);
    appendRungs(text, "v", values);
    layers.keySet().stream()
        .sorted()
        .forEach(layer -> appendRungs(text, "layers." + layer, layers.getOrDefault(layer, keys)));
    return text.toString();
  }

  private static void appendRungs(StringBuilder text, String key, List<Rung> rungs) {
    if (!rungs.isEmpty()) {
      text.append(';').append(key).append('=');
      for (int i = 0; i < rungs.size(); i++) {
        text.append(i > 0 ? "," : "").append(rungs.get(i));
      }
    }
  }
}
