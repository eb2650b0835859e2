package dev.tessera.models.calibration;

import dev.tessera.kvcache.KvPolicy;
import dev.tessera.kvcache.Ladder;
import dev.tessera.kvcache.Rung;
import java.nio.ByteBuffer;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;

/// Which codebooks a policy needs: bits of a channel in its codes of pairs. They take time and room
/// that other policies are spared.
///
/// @param keys bits of a channel of keys
/// @param values the same for values
public record PairDemand(SortedSet<Integer> keys, SortedSet<Integer> values) {

  /// None.
  public static final PairDemand NONE = new PairDemand(new TreeSet<>(), new TreeSet<>());

  public PairDemand {
    keys = new TreeSet<>(keys);
    values = new TreeSet<>(values);
  }

  public static PairDemand of(KvPolicy policy) {
    var demand = new PairDemand(new TreeSet<>(), new TreeSet<>());
    add(policy.keys(), demand.keys);
    add(policy.values(), demand.values);
    for (KvPolicy.LayerLadders layer : policy.layers().values()) {
      add(layer.keys(), demand.keys);
      add(layer.values(), demand.values);
    }
    return demand;
  }

  private static void add(Ladder ladder, Set<Integer> widths) {
    Rung rung = ladder.full();
    if (rung.family() == Rung.Family.PAIRS) {
      widths.add(rung.bits());
    }
  }

  public boolean isEmpty() {
    return keys.isEmpty() && values.isEmpty();
  }

  /// The same in bytes, none for none: what is learned depends on it.
  public byte[] bytes() {
    ByteBuffer bytes = ByteBuffer.allocate(keys.size() + values.size());
    keys.forEach(width -> bytes.put(width.byteValue()));
    values.forEach(width -> bytes.put((byte) -width));
    return bytes.array();
  }
}
