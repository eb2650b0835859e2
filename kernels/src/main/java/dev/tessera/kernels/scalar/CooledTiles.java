package dev.tessera.kernels.scalar;

import dev.tessera.kernels.CooledForm;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.codec.TileCodec;
import dev.tessera.kernels.scalar.Tiles.Vector;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.FormLayout;
import dev.tessera.kvcache.TileFormat;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The cooled tiles of one layer group, in every form: written and read by the definition of the
/// codecs, and kept decoded beside their bytes.
final class CooledTiles {

  private final CooledForms forms;
  private final int group;
  private final Tiles exact;
  private final Map<Integer, MemorySegment> slabs = new HashMap<>(); // by reference
  private final Map<Integer, Map<Place, Tile>> decoded = new HashMap<>(); // by reference

  CooledTiles(CooledForms forms, int group, Tiles exact) {
    this.forms = forms;
    this.group = group;
    this.exact = exact;
  }

  /// Where a tile lies in a slab.
  private record Place(Vector what, int layer, int head) {}

  /// A tile as it is stored, and as it is read: the same object for as long as it stays as it is.
  ///
  /// @param code null for an exact tile
  /// @param values `[64][headDim]`
  record Tile(@Nullable TileCode code, MemorySegment bytes, double[] values) {}

  CooledForms forms() {
    return forms;
  }

  /// Gives the tiles of one layer of a block a cooler form.
  void cool(int layer, int block, int from, int to) {
    for (int head = 0; head < exact.kvHeads(); head++) {
      for (Vector what : Vector.values()) {
        cool(new Place(what, layer, head), block * TileShape.BLOCK_TOKENS, from, to);
      }
    }
  }

  private void cool(Place place, int firstPosition, int from, int to) {
    int form = BlockRef.form(from);
    boolean isExact = form == BlockRef.EXACT;
    TileCode code = isExact ? null : code(form, place);
    MemorySegment tile =
        isExact ? exact.bytes(place.what, from, place.layer, place.head) : bytes(from, place);
    while (++form <= BlockRef.form(to)) {
      TileCode next = code(form, place);
      if (next != null) {
        var bytes = MemorySegment.ofArray(new byte[(int) next.format().tileBytes()]);
        if (code == null) {
          float[] x = Textbook.toFloats(exact.tile(place.what, tile));
          TileCodec.encode(next, x, firstPosition, bytes, 0);
        } else {
          TileCodec.cut(code, tile, 0, next, bytes, 0);
        }
        tile = bytes;
        code = next;
      }
    }
    slabs.computeIfAbsent(to, ref -> zeros(BlockRef.form(to)));
    bytes(to, place).copyFrom(tile);
    decoded.computeIfAbsent(to, ref -> new HashMap<>()).remove(place);
  }

  private MemorySegment zeros(int form) {
    return MemorySegment.ofArray(new byte[(int) form(form).layout().slabBytes()]);
  }

  private CooledForm form(int form) {
    return forms.of(group).get(form - 1);
  }

  private @Nullable TileCode code(int form, Place place) {
    CooledForm cooled = form(form);
    return (place.what == Vector.KEY ? cooled.keys() : cooled.values())
        .get(place.layer)
        .get(place.head);
  }

  /// Reads a token's key or value, `[headDim]`.
  void read(Vector what, int ref, int layer, int head, int position, double[] x) {
    int token = position % TileShape.BLOCK_TOKENS;
    double[] values = tile(what, ref, layer, head, position).values;
    System.arraycopy(values, token * x.length, x, 0, x.length);
  }

  /// The tile of a slab.
  ///
  /// @param position of one of its tokens
  Tile tile(Vector what, int ref, int layer, int head, int position) {
    int firstPosition = position - position % TileShape.BLOCK_TOKENS;
    return decoded
        .computeIfAbsent(ref, key -> new HashMap<>())
        .computeIfAbsent(new Place(what, layer, head), place -> decode(ref, place, firstPosition));
  }

  private Tile decode(int ref, Place place, int firstPosition) {
    MemorySegment bytes = bytes(ref, place);
    TileCode code = code(BlockRef.form(ref), place);
    if (code == null) {
      return new Tile(null, bytes, exact.tile(place.what, bytes));
    }
    var values = new double[TileShape.BLOCK_TOKENS * exact.headDim()];
    TileCodec.decode(code, bytes, 0, firstPosition, values);
    return new Tile(code, bytes, values);
  }

  /// The bytes of a tile.
  private MemorySegment bytes(int ref, Place place) {
    int form = BlockRef.form(ref);
    FormLayout layout = form(form).layout();
    boolean isKey = place.what == Vector.KEY;
    long at =
        isKey
            ? layout.keyOffset(place.layer, place.head)
            : layout.valueOffset(place.layer, place.head);
    TileFormat format = (isKey ? layout.keys() : layout.values()).get(place.layer).get(place.head);
    return slab(form, BlockRef.slab(ref)).asSlice(at, format.tileBytes());
  }

  /// The bytes of a slab.
  MemorySegment slab(int form, int slab) {
    MemorySegment bytes = slabs.get(BlockRef.of(form, slab));
    if (bytes == null) {
      throw new IllegalStateException("slab %d of form %d was never written".formatted(slab, form));
    }
    return bytes;
  }

  /// Fills a slab with the bytes of another.
  void put(int form, int slab, MemorySegment bytes) {
    int ref = BlockRef.of(form, slab);
    slabs.put(ref, zeros(form).copyFrom(bytes));
    decoded.remove(ref);
  }

  void discard(int form, int slab) {
    int ref = BlockRef.of(form, slab);
    slabs.remove(ref);
    decoded.remove(ref);
  }
}
