package dev.tessera.kvcache;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// The keys and values of 64 token positions in the layers of one group.
///
/// A block may exist in several forms at once, for example exact for the queries nearby and cooled
/// for the ones far away. References are counted per form: a form goes when nobody needs it.
final class Block {
  private final long id;
  private final int group;
  private final int index;
  private final int[] slabs; // [forms], NONE where the form does not exist
  private final int[] references; // [forms], block tables that hold it

  /// Tails of prefix nodes that need the exact form of this block.
  int tails;

  /// The prefix node that keeps it, or null while it belongs to one sequence alone.
  @Nullable PrefixNode node;

  /// When its last reference went.
  long lastUse;

  /// @param id counts up; the last resort of every order
  /// @param index logical block of its sequence: position / 64
  Block(long id, int group, int index, int forms) {
    this.id = id;
    this.group = group;
    this.index = index;
    this.slabs = new int[forms];
    this.references = new int[forms];
    Arrays.fill(slabs, SlabPool.NONE);
  }

  long id() {
    return id;
  }

  int group() {
    return group;
  }

  int index() {
    return index;
  }

  int forms() {
    return slabs.length;
  }

  boolean has(int form) {
    return slabs[form] != SlabPool.NONE;
  }

  int slab(int form) {
    if (!has(form)) {
      throw new IllegalStateException("block " + id + " does not exist in form " + form);
    }
    return slabs[form];
  }

  void setSlab(int form, int slab) {
    slabs[form] = slab;
  }

  int references(int form) {
    return references[form];
  }

  void addReference(int form, int delta) {
    references[form] += delta;
    if (references[form] < 0) {
      throw new IllegalStateException("block " + id + " was released more often than retained");
    }
  }

  /// Whether a block table holds it in any form.
  boolean isReferenced() {
    for (int count : references) {
      if (count > 0) {
        return true;
      }
    }
    return false;
  }

  @Override
  public String toString() {
    return "block %d (group %d, index %d, slabs %s, references %s, tails %d)"
        .formatted(id, group, index, Arrays.toString(slabs), Arrays.toString(references), tails);
  }
}
