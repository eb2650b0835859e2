package dev.tessera.kvcache;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// The blocks of one sequence in one layer group, by logical block (position / 64).
///
/// Append-only: an entry never changes once it is there. Entries may only go, from the front, when
/// the window of every future query has passed them; the ones with sink tokens stay.
public final class BlockTable {
  private final int sinkBlocksWanted;
  private @Nullable Block[] blocks = new Block[8]; // by logical block; null where freed
  private int[] refs = new int[8]; // the same, as the kernels want it
  private int end;
  private int first;

  BlockTable(int sinkBlocksWanted) {
    this.sinkBlocksWanted = sinkBlocksWanted;
  }

  /// One past the last logical block.
  public int end() {
    return end;
  }

  /// The first logical block from which on all are there.
  public int firstBlock() {
    return first;
  }

  /// Blocks with sink tokens at the start of the sequence that are there in spite of a gap before
  /// [#firstBlock()]; 0 where there is no gap.
  public int sinkBlocks() {
    return first == 0 ? 0 : sinkBlocksWanted;
  }

  /// Entries that [#copyRefs] writes.
  public int entries() {
    return sinkBlocks() + end - first;
  }

  /// Writes the packed references: the sink blocks, then the ones from [#firstBlock()] on.
  public void copyRefs(int[] destination, int offset) {
    System.arraycopy(refs, 0, destination, offset, sinkBlocks());
    System.arraycopy(refs, first, destination, offset + sinkBlocks(), end - first);
  }

  /// The block at a logical index, or null where it was freed.
  @Nullable Block block(int index) {
    return blocks[index];
  }

  void append(Block block, int form) {
    if (block.index() != end) {
      throw new IllegalStateException("appending " + block + " at logical block " + end);
    }
    grow();
    blocks[end] = block;
    refs[end] = BlockRef.of(form, block.slab(form));
    end++;
  }

  /// Appends a place whose block lies behind the window and is not there.
  void appendGap() {
    grow();
    blocks[end] = null;
    end++;
  }

  private void grow() {
    if (end == blocks.length) {
      blocks = Arrays.copyOf(blocks, 2 * end);
      refs = Arrays.copyOf(refs, 2 * end);
    }
  }

  /// Takes the block at a logical index out of the table, or null if it is not there.
  @Nullable Block remove(int index) {
    Block block = blocks[index];
    blocks[index] = null;
    return block;
  }

  /// Takes the last entry back, which no step has written yet.
  @Nullable Block removeLast() {
    end--;
    return remove(end);
  }

  /// Says that the entries before `index` are not needed any more, except those with sinks.
  void setFirst(int index) {
    first = index <= sinkBlocksWanted ? 0 : index;
  }

  /// Logical blocks at the start that stay when the window passes them.
  int keptSinkBlocks() {
    return sinkBlocksWanted;
  }
}
