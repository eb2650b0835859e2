package dev.tessera.kvcache;

import java.util.Map;

/// What a tier holds, and what it has done so far.
///
/// @param tier its name
/// @param slabs that it holds, by layer group and form
/// @param bytes of these, as stored
/// @param limitBytes of its budget
/// @param stored slabs that it has taken
/// @param declined slabs that it has not taken: its queue was full, or writing failed
/// @param fetched slabs that it has given back
/// @param lost slabs that it was to give back, and that were gone
/// @param damaged slabs that it was to give back, and that were not what was stored
/// @param dropped slabs that it gave up for newer ones
public record TierStats(
    String tier,
    Map<Place, Long> slabs,
    long bytes,
    long limitBytes,
    long stored,
    long declined,
    long fetched,
    long lost,
    long damaged,
    long dropped) {

  /// A kind of slabs.
  public record Place(int group, int form) {}
}
