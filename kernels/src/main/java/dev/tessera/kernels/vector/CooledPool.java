package dev.tessera.kernels.vector;

import dev.tessera.kernels.CooledForm;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.codec.TileCodec;
import dev.tessera.kernels.codec.Turn;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.SlabLayout;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/// The cooled slabs of one layer group, in every form. Memory is taken when a slab is first
/// written.
final class CooledPool {

  private final CooledForms forms;
  private final TilePool exact;
  private final List<Form> pools;
  private final IdentityHashMap<Turn, CodedTile.TurnTable> turns = new IdentityHashMap<>();

  CooledPool(CooledForms forms, int group, TilePool exact) {
    this.forms = forms;
    this.exact = exact;
    this.pools = forms.of(group).stream().map(Form::new).toList();
    for (Form pool : pools) {
      for (List<@Nullable TileCode> heads : pool.form.keys()) {
        for (TileCode code : heads) {
          if (code != null && code.turn() != null) {
            turns.computeIfAbsent(code.turn(), CodedTile.TurnTable::of);
          }
        }
      }
    }
  }

  /// Bytes of the tables of turning means.
  long turnBytes() {
    return turns.values().stream().mapToLong(CodedTile.TurnTable::bytes).sum();
  }

  /// One form's slabs and where its tiles lie in them.
  private static final class Form {
    private final CooledForm form;
    private final long slabBytes;
    private final long[][] keyOffsets; // [layers of the group][kvHeads]
    private final long[][] valueOffsets;
    private final AtomicReferenceArray<@Nullable MemorySegment> slabs;

    Form(CooledForm form) {
      this.form = form;
      int layers = form.layout().group().layers().size();
      int heads = form.layout().kvHeads();
      slabBytes = form.layout().slabBytes();
      keyOffsets = new long[layers][heads];
      valueOffsets = new long[layers][heads];
      for (int layer = 0; layer < layers; layer++) {
        for (int head = 0; head < heads; head++) {
          keyOffsets[layer][head] = form.layout().keyOffset(layer, head);
          valueOffsets[layer][head] = form.layout().valueOffset(layer, head);
        }
      }
      slabs = new AtomicReferenceArray<>(form.slabs());
    }
  }

  CooledForms forms() {
    return forms;
  }

  /// How a tile of a form is coded; null where it is exact.
  @Nullable TileCode code(boolean isKey, int form, int layer, int head) {
    CooledForm cooled = pools.get(form - 1).form;
    return (isKey ? cooled.keys() : cooled.values()).get(layer).get(head);
  }

  /// The table of a code's turning mean; null if it has none.
  CodedTile.@Nullable TurnTable turn(TileCode code) {
    return code.turn() == null ? null : turns.get(code.turn());
  }

  /// Where a tile starts in its slab.
  long offset(boolean isKey, int form, int layer, int head) {
    Form pool = pools.get(form - 1);
    return (isKey ? pool.keyOffsets : pool.valueOffsets)[layer][head];
  }

  /// The slab of a reference. The heads of one block may be written by several threads at once.
  MemorySegment slab(int ref) {
    Form pool = pools.get(BlockRef.form(ref) - 1);
    int index = BlockRef.slab(ref);
    MemorySegment slab = pool.slabs.get(index);
    if (slab == null) {
      MemorySegment fresh = Arena.ofAuto().allocate(pool.slabBytes, SlabLayout.ALIGNMENT);
      slab = pool.slabs.compareAndSet(index, null, fresh) ? fresh : pool.slabs.get(index);
      if (slab == null) {
        throw new IllegalStateException("slab " + index + " was discarded while it was written");
      }
    }
    return slab;
  }

  /// Gives one head's tiles of a block in a layer a cooler form.
  void cool(int layer, int head, int block, int from, int to) {
    cool(true, layer, head, block, from, to);
    cool(false, layer, head, block, from, to);
  }

  private void cool(boolean isKey, int layer, int head, int block, int from, int to) {
    int form = BlockRef.form(from);
    TileCode code = form == BlockRef.EXACT ? null : code(isKey, form, layer, head);
    MemorySegment tile =
        form == BlockRef.EXACT
            ? exact.tile(isKey, from, layer, head)
            : slab(from).asSlice(offset(isKey, form, layer, head), bytes(isKey, code));
    for (int next = form + 1; next <= BlockRef.form(to); next++) {
      TileCode target = code(isKey, next, layer, head);
      if (target != null) {
        var coded = MemorySegment.ofArray(new byte[(int) target.format().tileBytes()]);
        if (code == null) {
          float[] x = exact.floats(isKey, tile);
          TileCodec.encode(target, x, block * TileShape.BLOCK_TOKENS, coded, 0);
        } else {
          TileCodec.cut(code, tile, 0, target, coded, 0);
        }
        tile = coded;
        code = target;
      }
    }
    long at = offset(isKey, BlockRef.form(to), layer, head);
    MemorySegment.copy(tile, 0, slab(to), at, tile.byteSize());
  }

  private long bytes(boolean isKey, @Nullable TileCode code) {
    return code == null ? exact.tileBytes(isKey) : code.format().tileBytes();
  }

  void discard(int form, int slab) {
    pools.get(form - 1).slabs.set(slab, null);
  }
}
