package dev.tessera.kernels.codec;

import dev.tessera.kernels.CooledForm;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.SlabLayout;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// Compares some of the tiles that cool with what they were, while both still exist: one in some
/// hundreds, and at most one after a step, which is far below a hundredth of what coding them took.
public final class ReconstructionSamples {

  /// Tiles from one sample to the next: a prime, so that every layer and head has its turn.
  static final int PERIOD = 211;

  /// Where slabs lie.
  @FunctionalInterface
  public interface Slabs {

    /// @param ref packed [BlockRef]
    MemorySegment slab(int group, int ref);
  }

  /// What was found of one format.
  public record Comparison(long tiles, double squaredError, double squaredElements) {

    static final Comparison NONE = new Comparison(0, 0, 0);

    private Comparison plus(double error, double elements) {
      return new Comparison(tiles + 1, squaredError + error, squaredElements + elements);
    }
  }

  private final CooledForms forms;
  private final SlabLayout[] exact; // [groups]
  private final Map<String, Comparison> found = new TreeMap<>();
  private int due; // tiles until the next sample

  public ReconstructionSamples(CooledForms forms, SlabLayout[] exact) {
    this.forms = forms;
    this.exact = exact.clone();
  }

  public Comparison of(String format) {
    return found.getOrDefault(format, Comparison.NONE);
  }

  /// Takes a sample from the coolings of a step that has been computed.
  public void observe(List<StepBatch.Coolings> coolings, Slabs slabs) {
    long tiles = 0;
    for (int group = 0; group < coolings.size(); group++) {
      long own = (long) coolings.get(group).count() * tilesOfBlock(group);
      if (due >= tiles && due < tiles + own) {
        compare(group, coolings.get(group), (int) (due - tiles), slabs);
      }
      tiles += own;
    }
    due = (int) Math.floorMod(due - tiles, (long) PERIOD);
  }

  private int tilesOfBlock(int group) {
    return exact[group].group().layers().size() * exact[group].kvHeads() * 2;
  }

  private void compare(int group, StepBatch.Coolings coolings, int tile, Slabs slabs) {
    int cooling = tile / tilesOfBlock(group);
    int from = coolings.origins()[cooling];
    int to = coolings.to()[cooling];
    if (BlockRef.form(from) != BlockRef.EXACT || BlockRef.form(to) == BlockRef.EXACT) {
      return; // what it was is gone
    }
    boolean isValue = tile % 2 == 1;
    int head = tile / 2 % exact[group].kvHeads();
    int layer = tile % tilesOfBlock(group) / 2 / exact[group].kvHeads();
    CooledForm form = forms.of(group).get(BlockRef.form(to) - 1);
    TileCode code = (isValue ? form.values() : form.keys()).get(layer).get(head);
    if (code == null) {
      return;
    }
    long at =
        isValue ? form.layout().valueOffset(layer, head) : form.layout().keyOffset(layer, head);
    var decoded = new double[code.format().shape().elements()];
    int position = coolings.blocks()[cooling] * TileShape.BLOCK_TOKENS;
    TileCodec.decode(code, slabs.slab(group, to), at, position, decoded);
    float[] before = ExactTiles.read(exact[group], slabs.slab(group, from), layer, head, isValue);
    add(code.format().name(), before, decoded);
  }

  private void add(String format, float[] exactTile, double[] decoded) {
    double error = 0;
    double elements = 0;
    for (int i = 0; i < decoded.length; i++) {
      error += (decoded[i] - exactTile[i]) * (decoded[i] - exactTile[i]);
      elements += (double) exactTile[i] * exactTile[i];
    }
    found.put(format, of(format).plus(error, elements));
  }
}
