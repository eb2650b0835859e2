package dev.tessera.kvcache;

import java.util.Collections;
import java.util.Map;
import java.util.Objects;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// Which form a tile takes with age, for keys and values, and per layer where it differs.
///
/// Equal policies are equal records, whatever way they were written.
///
/// @param firstTokens tokens at the start of a sequence that stay exact; whole blocks
/// @param lastTokens tokens before a query that stay exact; whole blocks
/// @param keys rungs of the keys between those
/// @param values the same for values
/// @param layers what single layers have instead
/// @param byTemperature whether heat and pressure decide when a tile cools, its age only how soon
///   it may
public record KvPolicy(
    int firstTokens,
    int lastTokens,
    Ladder keys,
    Ladder values,
    SortedMap<Integer, LayerLadders> layers,
    boolean byTemperature) {

  /// What the texts of policies by temperature begin with.
  static final String TEMPERATURE = "temperature:";

  /// Every tile as it was computed.
  public static final KvPolicy EXACT =
      new KvPolicy(0, 0, Ladder.EXACT, Ladder.EXACT, new TreeMap<>());

  /// A policy by age alone.
  public KvPolicy(
      int firstTokens,
      int lastTokens,
      Ladder keys,
      Ladder values,
      SortedMap<Integer, LayerLadders> layers) {
    this(firstTokens, lastTokens, keys, values, layers, false);
  }

  /// The ladders of one layer.
  public record LayerLadders(Ladder keys, Ladder values) {}

  public KvPolicy {
    LayerLadders usual = new LayerLadders(keys, values);
    TreeMap<Integer, LayerLadders> different = new TreeMap<>(layers);
    different.values().removeIf(usual::equals);
    layers = Collections.unmodifiableSortedMap(different);
    if (keys.isExact() && values.isExact() && layers.isEmpty()) {
      firstTokens = 0;
      lastTokens = 0;
      byTemperature = false;
    }
    requireBlocks("first", firstTokens);
    requireBlocks("last", lastTokens);
    for (Ladder ladder : ladders(keys, values, layers).toList()) {
      if (!ladder.isExact() && ladder.steps().getFirst().fromAge() != lastTokens) {
        throw new IllegalArgumentException(
            "%s begins at age %d; the last %d tokens are exact"
                .formatted(ladder, ladder.steps().getFirst().fromAge(), lastTokens));
      }
    }
  }

  private static void requireBlocks(String name, int tokens) {
    if (tokens < 0 || tokens % TileShape.BLOCK_TOKENS != 0) {
      throw new IllegalArgumentException(
          "%s=%d is no number of blocks of %d tokens"
              .formatted(name, tokens, TileShape.BLOCK_TOKENS));
    }
  }

  private static Stream<Ladder> ladders(
      Ladder keys, Ladder values, Map<Integer, LayerLadders> layers) {
    return Stream.concat(
        Stream.of(keys, values),
        layers.values().stream().flatMap(layer -> Stream.of(layer.keys(), layer.values())));
  }

  /// Whether no tile is ever anything but exact.
  public boolean isExact() {
    return lastTokens == 0;
  }

  /// Whether it names a format that something has to be learned for.
  public boolean isLearned() {
    return ladders(keys, values, layers).anyMatch(ladder -> ladder.full().family().isLearned());
  }

  /// The ladders of a layer.
  public LayerLadders layer(int layer) {
    return Objects.requireNonNullElseGet(layers.get(layer), () -> new LayerLadders(keys, values));
  }

  /// When forms change: every age at which some layer's keys or values go to another rung.
  SortedSet<Integer> ages() {
    SortedSet<Integer> ages = new TreeSet<>();
    ladders(keys, values, layers)
        .flatMap(ladder -> ladder.steps().stream())
        .forEach(step -> ages.add(step.fromAge()));
    return ages;
  }

  /// Which form a query reads: a new one from every age on at which some rung begins.
  public CoolingRule rule() {
    if (isExact()) {
      return CoolingRule.NEVER;
    }
    return new CoolingRule(
        firstTokens / TileShape.BLOCK_TOKENS,
        ages().stream().map(age -> age / TileShape.BLOCK_TOKENS).toList());
  }

  /// The canonical text: equal policies have equal texts, whatever way they were written.
  public String text() {
    if (isExact()) {
      return "exact";
    }
    StringBuilder text = new StringBuilder();
    text.append(byTemperature ? TEMPERATURE : "")
        .append("exact:first=")
        .append(firstTokens)
        .append(",last=")
        .append(lastTokens);
    append(text, "k", Ladder.EXACT, keys);
    append(text, "v", Ladder.EXACT, values);
    int next = 0;
    for (int first : layers.keySet()) {
      if (first >= next) {
        next = endOfRun(first);
        appendLayers(text, first, next - 1, layer(first));
      }
    }
    return text.toString();
  }

  /// One past the last of the layers from `first` on that are given the same ladders.
  private int endOfRun(int first) {
    int end = first + 1;
    while (layers.containsKey(end) && layer(end).equals(layer(first))) {
      end++;
    }
    return end;
  }

  private void appendLayers(StringBuilder text, int first, int last, LayerLadders ladders) {
    String name = "layers." + first + (last > first ? "-" + last : "");
    boolean both = !ladders.keys().equals(keys) && !ladders.values().equals(values);
    if (both && ladders.keys().equals(ladders.values())) {
      append(text, name, null, ladders.keys());
    } else {
      append(text, name + ".k", keys, ladders.keys());
      append(text, name + ".v", values, ladders.values());
    }
  }

  private static void append(StringBuilder text, String key, @Nullable Ladder usual, Ladder own) {
    if (!own.equals(usual)) {
      text.append(';').append(key).append('=').append(own);
    }
  }
}
