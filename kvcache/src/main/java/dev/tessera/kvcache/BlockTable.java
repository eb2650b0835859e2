package dev.tessera.kvcache;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// The blocks of one sequence in one layer group, by logical block (position / 64), and in which
/// forms the sequence holds each.
///
/// Append-only as to its blocks: entries may only go, from the front, when the window of every
/// future query has passed them; the ones with sink tokens stay. Forms come and go between steps,
/// as the sequence moves on.
public final class BlockTable {
  private final int sinkBlocksWanted;
  private @Nullable Block[] blocks = new Block[8]; // by logical block; null where freed
  private final int[][] refs; // [forms][logical block], as the kernels want them
  private int end;
  private int first;

  /// @param forms in which blocks of the group may exist, the exact one included
  BlockTable(int sinkBlocksWanted, int forms) {
    this.sinkBlocksWanted = sinkBlocksWanted;
    this.refs = new int[forms][8];
  }

  /// Forms besides the exact one; 0 where the group never cools.
  public int cooledForms() {
    return refs.length - 1;
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

  /// Writes the packed references of a form: the sink blocks, then the ones from [#firstBlock()]
  /// on; [BlockRef#NONE] where the sequence does not hold the block in that form.
  public void copyRefs(int form, int[] destination, int offset) {
    System.arraycopy(refs[form], 0, destination, offset, sinkBlocks());
    System.arraycopy(refs[form], first, destination, offset + sinkBlocks(), end - first);
  }

  /// Writes the form in which queries read each entry, where temperature decides: the coolest in
  /// which the sequence holds the block.
  public void copyReadForms(int[] destination, int offset) {
    int entry = offset;
    for (int i = 0; i < end; i++) {
      if (i < sinkBlocks() || i >= first) {
        destination[entry++] = readForm(i);
      }
    }
  }

  /// The coolest form in which the sequence holds a block.
  int readForm(int index) {
    int form = cooledForms();
    while (form > 0 && !shows(index, form)) {
      form--;
    }
    return form;
  }

  /// The block at a logical index, or null where it was freed.
  @Nullable Block block(int index) {
    return blocks[index];
  }

  Block present(int index) {
    Block block = blocks[index];
    if (block == null) {
      throw new IllegalStateException("block " + index + " is not in the table any more");
    }
    return block;
  }

  boolean shows(int index, int form) {
    return refs[form][index] != BlockRef.NONE;
  }

  /// Appends a block, in no form yet.
  void append(Block block) {
    if (block.index() != end) {
      throw new IllegalStateException("appending " + block + " at logical block " + end);
    }
    appendGap();
    blocks[end - 1] = block;
  }

  /// Appends a place whose block lies behind the window and is not there.
  void appendGap() {
    if (end == blocks.length) {
      blocks = Arrays.copyOf(blocks, 2 * end);
      for (int form = 0; form < refs.length; form++) {
        refs[form] = Arrays.copyOf(refs[form], 2 * end);
      }
    }
    for (int[] form : refs) {
      form[end] = BlockRef.NONE;
    }
    end++;
  }

  void show(int index, int form) {
    refs[form][index] = present(index).ref(form);
  }

  void hide(int index, int form) {
    refs[form][index] = BlockRef.NONE;
  }

  /// Puts another block with the same content in the place of one.
  void replace(int index, Block block) {
    blocks[index] = block;
    for (int form = 0; form < refs.length; form++) {
      if (shows(index, form)) {
        show(index, form);
      }
    }
  }

  /// Takes the block at a logical index out of the table, which shows it in no form any more.
  void remove(int index) {
    blocks[index] = null;
  }

  /// Takes the last entry back, which no step has written yet.
  void removeLast() {
    end--;
    remove(end);
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
