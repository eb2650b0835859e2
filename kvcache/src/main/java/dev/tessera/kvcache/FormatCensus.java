package dev.tessera.kvcache;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToLongBiFunction;

/// Counts tiles by format: how many of each a slab of each form holds is known beforehand.
final class FormatCensus {
  private final List<String> names = new ArrayList<>();
  private final List<Share> shares = new ArrayList<>();

  /// What a slab of one form holds of one format.
  private record Share(int name, int group, int form, long tiles, long bytes) {}

  FormatCensus(BlockForms forms) {
    Map<String, Integer> indexes = new TreeMap<>();
    for (int g = 0; g < forms.exact().size(); g++) {
      SlabLayout slab = forms.exact().get(g);
      int tiles = slab.group().layers().size() * slab.kvHeads();
      add(indexes, slab.key(), g, 0, tiles);
      add(indexes, slab.value(), g, 0, tiles);
      for (int f = 0; f < forms.cooled().get(g).size(); f++) {
        FormLayout form = forms.cooled().get(g).get(f);
        for (List<List<TileFormat>> side : List.of(form.keys(), form.values())) {
          for (List<TileFormat> heads : side) {
            for (TileFormat format : heads) {
              add(indexes, format, g, f + 1, 1);
            }
          }
        }
      }
    }
  }

  private void add(
      Map<String, Integer> indexes, TileFormat format, int group, int form, int tiles) {
    int index =
        indexes.computeIfAbsent(
            format.name(),
            name -> {
              names.add(name);
              return names.size() - 1;
            });
    long bytes = tiles * SlabLayout.align(format.tileBytes());
    for (int i = 0; i < shares.size(); i++) {
      Share share = shares.get(i);
      if (share.name == index && share.group == group && share.form == form) {
        shares.set(i, new Share(index, group, form, share.tiles + tiles, share.bytes + bytes));
        return;
      }
    }
    shares.add(new Share(index, group, form, tiles, bytes));
  }

  /// Tiles of each format.
  ///
  /// @param slabs how many there are of a group and a form
  List<KvStats.FormatStats> count(ToLongBiFunction<Integer, Integer> slabs) {
    long[] tiles = new long[names.size()];
    long[] bytes = new long[names.size()];
    for (Share share : shares) {
      long count = slabs.applyAsLong(share.group, share.form);
      tiles[share.name] += count * share.tiles;
      bytes[share.name] += count * share.bytes;
    }
    List<KvStats.FormatStats> stats = new ArrayList<>(names.size());
    for (int i = 0; i < tiles.length; i++) {
      stats.add(new KvStats.FormatStats(names.get(i), tiles[i], bytes[i]));
    }
    return stats;
  }
}
