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
  private final int[] references; // [forms], block tables that show it
  private final int[] tails; // [forms], tails of prefix nodes that need it
  private final long[] idleSince; // [forms], when its last reference went
  private int pending; // bit per form: has a slab, but no step has filled it yet
  private int tailed; // bit per form: a tail has needed it

  /// The prefix node that keeps it, or null while it belongs to one sequence alone.
  @Nullable PrefixNode node;

  /// When its last reference in any form went.
  long lastUse;

  /// The attention that it gets, where temperature decides.
  final Heat heat = new Heat();

  /// @param id counts up; the last resort of every order
  /// @param index logical block of its sequence: position / 64
  Block(long id, int group, int index, int forms) {
    this.id = id;
    this.group = group;
    this.index = index;
    this.slabs = new int[forms];
    this.references = new int[forms];
    this.tails = new int[forms];
    this.idleSince = new long[forms];
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

  /// Whether it can be read in a form: a slab that is only reserved holds nothing yet.
  boolean isReady(int form) {
    return has(form) && !isPending(form);
  }

  /// The forms in which it can be read, a bit each.
  int readyForms() {
    int ready = 0;
    for (int form = 0; form < slabs.length; form++) {
      ready |= isReady(form) ? 1 << form : 0;
    }
    return ready;
  }

  /// Whether it can be read in a cooler form, too.
  boolean hasCooler(int form) {
    for (int cooler = form + 1; cooler < slabs.length; cooler++) {
      if (isReady(cooler)) {
        return true;
      }
    }
    return false;
  }

  boolean isPending(int form) {
    return (pending >>> form & 1) != 0;
  }

  void setPending(int form, boolean isPending) {
    pending = isPending ? pending | 1 << form : pending & ~(1 << form);
  }

  int slab(int form) {
    if (!has(form)) {
      throw new IllegalStateException("block " + id + " does not exist in form " + form);
    }
    return slabs[form];
  }

  int ref(int form) {
    return BlockRef.of(form, slab(form));
  }

  void setSlab(int form, int slab) {
    slabs[form] = slab;
    tailed &= ~(1 << form);
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

  int tails(int form) {
    return tails[form];
  }

  void addTail(int form, int delta) {
    tails[form] += delta;
    tailed |= delta > 0 ? 1 << form : 0;
  }

  /// Whether a tail has needed a form, though perhaps none does now.
  boolean wasInTail(int form) {
    return (tailed >>> form & 1) != 0;
  }

  long idleSince(int form) {
    return idleSince[form];
  }

  void setIdleSince(int form, long time) {
    idleSince[form] = time;
  }

  @Override
  public String toString() {
    return "block %d (group %d, index %d, slabs %s, references %s, tails %s, pending %s)"
        .formatted(
            id,
            group,
            index,
            Arrays.toString(slabs),
            Arrays.toString(references),
            Arrays.toString(tails),
            Integer.toBinaryString(pending));
  }
}
