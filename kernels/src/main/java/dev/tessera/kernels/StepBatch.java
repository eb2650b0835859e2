package dev.tessera.kernels;

import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// The flattened arrays of one step. A row is one token of one sequence; the rows of a sequence lie
/// together and their positions count up by one.
///
/// In every layer, first the K and V of every row are stored into the sequence's tiles, then the
/// coolings of its group are carried out, then the queries of a row at position p attend to the
/// positions that its layer group lets it see, up to and including p, reading each block in the
/// form that its table names or, where that names none, [CooledForms#form(int, int, int)] says.
///
/// A step may have no rows and no sequences: then it carries out coolings alone.
///
/// @param tokenIds `[rows]`
/// @param rowStarts `[sequences + 1]`; sequence s has the rows from `rowStarts[s]` to
///   `rowStarts[s+1]`
/// @param firstPositions `[sequences]`; position of a sequence's first row
/// @param tables `[groups]`; a block table per sequence and layer group
/// @param logitRows rows whose logits are wanted, ascending; logits row i belongs to `logitRows[i]`
/// @param coolings `[groups]`; blocks that take a cooler form in this step
/// @param measuresMass whether [DecoderSession#attentionMass()] is wanted of it
public record StepBatch(
    int[] tokenIds,
    int[] rowStarts,
    int[] firstPositions,
    BlockTables[] tables,
    int[] logitRows,
    List<Coolings> coolings,
    boolean measuresMass) {

  public StepBatch {
    coolings = List.copyOf(coolings);
  }

  /// A step whose attention nobody measures.
  public StepBatch(
      int[] tokenIds,
      int[] rowStarts,
      int[] firstPositions,
      BlockTables[] tables,
      int[] logitRows,
      List<Coolings> coolings) {
    this(tokenIds, rowStarts, firstPositions, tables, logitRows, coolings, false);
  }

  /// The coolings of one layer group. They are independent of each other, but for chains: a block
  /// that takes several forms in one step lists them in order.
  ///
  /// @param blocks logical blocks (position / 64), full at the end of this step
  /// @param from packed [dev.tessera.kvcache.BlockRef]s of the exact form, or of the one before
  /// @param to the same, of the new form
  public record Coolings(int[] blocks, int[] from, int[] to) {

    private static final Coolings NONE = new Coolings(new int[0], new int[0], new int[0]);

    public Coolings {
      Shapes.require("references that coolings read", from.length, blocks.length);
      Shapes.require("references that coolings write", to.length, blocks.length);
    }

    /// Nothing cools in any group.
    public static List<Coolings> none(int groups) {
      return Collections.nCopies(groups, NONE);
    }

    public int count() {
      return blocks.length;
    }

    /// `from`, but where that form is made in this very step, what it is made from: with these,
    /// every cooling can be carried out by itself, in any order, through the forms between.
    public int[] origins() {
      Map<Integer, Integer> made = new HashMap<>();
      int[] origins = new int[from.length];
      for (int i = 0; i < from.length; i++) {
        origins[i] = made.getOrDefault(from[i], from[i]);
        made.put(to[i], origins[i]);
      }
      return origins;
    }
  }

  /// The block tables of one layer group.
  ///
  /// @param starts `[sequences + 1]` into `refs`
  /// @param firstBlocks `[sequences]`; the logical block (position / 64) of a sequence's first
  ///   entry: window groups have freed the ones before, except that with sink tokens the blocks
  ///   that hold them come first in the table, then the ones from `firstBlocks` on
  /// @param sinkBlocks `[sequences]`; leading entries of the table that hold sink tokens and lie
  ///   before `firstBlocks`; 0 where nothing was freed between
  /// @param refs packed [dev.tessera.kvcache.BlockRef]s of the exact form, or
  ///   [dev.tessera.kvcache.BlockRef#NONE] where a block does not have it any more
  /// @param cooled `[form - 1][refs.length]`, the same of each cooled form; no arrays where the
  ///   group never cools
  /// @param readForms `[refs.length]`, the form in which all queries of the step read a block;
  ///   empty where the rule decides. Blocks that the step writes are read exact
  public record BlockTables(
      int[] starts,
      int[] firstBlocks,
      int[] sinkBlocks,
      int[] refs,
      int[][] cooled,
      int[] readForms) {

    /// Tables whose blocks are read in the forms that the rule says.
    public BlockTables(
        int[] starts, int[] firstBlocks, int[] sinkBlocks, int[] refs, int[][] cooled) {
      this(starts, firstBlocks, sinkBlocks, refs, cooled, new int[0]);
    }

    /// Tables of exact blocks.
    public static BlockTables exact(int[] starts, int[] firstBlocks, int[] sinkBlocks, int[] refs) {
      return new BlockTables(starts, firstBlocks, sinkBlocks, refs, new int[0][]);
    }

    /// The exact reference of a logical block of a sequence, which must not have been freed.
    public int ref(int sequence, int block) {
      return refs[entry(sequence, block)];
    }

    /// The reference of a block in a form.
    public int ref(int sequence, int block, int form) {
      int entry = entry(sequence, block);
      return form == 0 ? refs[entry] : cooled[form - 1][entry];
    }

    /// The form in which queries of a sequence in block `queryBlock` read block `block`.
    ///
    /// @param forms of the session
    /// @param group whose tables these are
    public int form(CooledForms forms, int group, int sequence, int queryBlock, int block) {
      return readForms.length == 0
          ? forms.form(group, queryBlock, block)
          : readForms[entry(sequence, block)];
    }

    private int entry(int sequence, int block) {
      int sinks = sinkBlocks[sequence];
      int entry = block < sinks ? block : sinks + block - firstBlocks[sequence];
      return starts[sequence] + entry;
    }
  }

  /// Checks the batch before a backend trusts it with an address.
  ///
  /// @throws IllegalArgumentException if the batch exceeds the limits or contradicts itself
  public void require(DecoderSpec spec, SessionLimits limits, CooledForms forms) {
    new BatchCheck(this, spec, limits, forms).run();
  }

  public int rows() {
    return tokenIds.length;
  }

  public int sequences() {
    return firstPositions.length;
  }
}
