package dev.tessera.kernels;

/// The flattened arrays of one step. A row is one token of one sequence; the rows of a sequence lie
/// together and their positions count up by one.
///
/// The K and V of every row are stored into the sequence's tiles; the queries of a row at position
/// p attend to the positions that its layer group lets it see, up to and including p.
///
/// @param tokenIds `[rows]`
/// @param rowStarts `[sequences + 1]`; sequence s has the rows from `rowStarts[s]` to `rowStarts[s
///   + 1]` @param firstPositions `[sequences]`; position of a sequence's first row @param tables
///     `[groups]`; a block table per sequence and layer group @param logitRows rows whose logits
///     are wanted, ascending; logits row i belongs to `logitRows[i]`
public record StepBatch(
    int[] tokenIds, int[] rowStarts, int[] firstPositions, BlockTables[] tables, int[] logitRows) {

  /// The block tables of one layer group.
  ///
  /// @param starts `[sequences + 1]` into `refs`
  /// @param firstBlocks `[sequences]`; the logical block (position / 64) of a sequence's first
  ///   entry: window groups have freed the ones before, except that with sink tokens the blocks
  ///   that hold them come first in the table, then the ones from `firstBlocks` on
  /// @param sinkBlocks `[sequences]`; leading entries of the table that hold sink tokens and lie
  ///   before `firstBlocks`; 0 where nothing was freed between
  /// @param refs packed [dev.tessera.kvcache.BlockRef]s
  public record BlockTables(int[] starts, int[] firstBlocks, int[] sinkBlocks, int[] refs) {

    /// The reference of a logical block of a sequence, which must not have been freed.
    public int ref(int sequence, int block) {
      int sinks = sinkBlocks[sequence];
      int entry = block < sinks ? block : sinks + block - firstBlocks[sequence];
      return refs[starts[sequence] + entry];
    }
  }

  /// Checks the batch before a backend trusts it with an address.
  ///
  /// @throws IllegalArgumentException if the batch exceeds the limits or contradicts itself
  public void require(DecoderSpec spec, SessionLimits limits) {
    new BatchCheck(this, spec, limits).run();
  }

  public int rows() {
    return tokenIds.length;
  }

  public int sequences() {
    return firstPositions.length;
  }
}
