package dev.tessera.kernels.scalar;

import dev.tessera.kernels.CooledForm;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.codec.TileCodec;
import dev.tessera.kernels.scalar.Tiles.Vector;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The cooled tiles of one layer group, in every form: written and read by the definition of the
/// codecs, and kept decoded.
final class CooledTiles {

  private final CooledForms forms;
  private final int group;
  private final Tiles exact;
  private final Map<Integer, Map<Place, Tile>> slabs = new HashMap<>(); // by reference

  CooledTiles(CooledForms forms, int group, Tiles exact) {
    this.forms = forms;
    this.group = group;
    this.exact = exact;
  }

  /// Where a tile lies in a slab.
  private record Place(Vector what, int layer, int head) {}

  /// A tile as it is stored, and as it is read.
  ///
  /// @param code null for an exact tile, which has no bytes here
  /// @param values `[64][headDim]`
  record Tile(@Nullable TileCode code, MemorySegment bytes, double[] values) {}

  /// The form in which a query at one position reads another.
  int form(int position, int seen) {
    return forms.form(group, position / TileShape.BLOCK_TOKENS, seen / TileShape.BLOCK_TOKENS);
  }

  /// Gives the tiles of one layer of a block a cooler form.
  void cool(int layer, int block, int from, int to) {
    for (int head = 0; head < exact.kvHeads(); head++) {
      for (Vector what : Vector.values()) {
        var place = new Place(what, layer, head);
        Tile tile =
            BlockRef.form(from) == BlockRef.EXACT
                ? new Tile(null, MemorySegment.NULL, exact.tile(what, from, layer, head))
                : tile(from, place);
        for (int form = BlockRef.form(from) + 1; form <= BlockRef.form(to); form++) {
          tile = cool(tile, code(form, place), block * TileShape.BLOCK_TOKENS);
        }
        slabs.computeIfAbsent(to, ref -> new HashMap<>()).put(place, tile);
      }
    }
  }

  private static Tile cool(Tile tile, @Nullable TileCode to, int firstPosition) {
    if (to == null) {
      return tile;
    }
    var bytes = MemorySegment.ofArray(new byte[(int) to.format().tileBytes()]);
    if (tile.code == null) {
      TileCodec.encode(to, Textbook.toFloats(tile.values), firstPosition, bytes, 0);
    } else {
      TileCodec.cut(tile.code, tile.bytes, 0, to, bytes, 0);
    }
    var values = new double[tile.values.length];
    TileCodec.decode(to, bytes, 0, firstPosition, values);
    return new Tile(to, bytes, values);
  }

  private @Nullable TileCode code(int form, Place place) {
    CooledForm cooled = forms.of(group).get(form - 1);
    return (place.what == Vector.KEY ? cooled.keys() : cooled.values())
        .get(place.layer)
        .get(place.head);
  }

  /// Reads a token's key or value, `[headDim]`.
  void read(Vector what, int ref, int layer, int head, int position, double[] x) {
    int token = position % TileShape.BLOCK_TOKENS;
    double[] values = tile(ref, new Place(what, layer, head)).values;
    System.arraycopy(values, token * x.length, x, 0, x.length);
  }

  /// A tile as it is stored.
  Tile tile(Vector what, int ref, int layer, int head) {
    return tile(ref, new Place(what, layer, head));
  }

  private Tile tile(int ref, Place place) {
    Tile tile = slabs.getOrDefault(ref, Map.of()).get(place);
    if (tile == null) {
      throw new IllegalStateException(
          "%s of slab %d of form %d was never written"
              .formatted(place, BlockRef.slab(ref), BlockRef.form(ref)));
    }
    return tile;
  }

  void discard(int form, int slab) {
    slabs.remove(BlockRef.of(form, slab));
  }
}
