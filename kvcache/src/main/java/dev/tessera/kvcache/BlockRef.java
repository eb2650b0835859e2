package dev.tessera.kvcache;

/// Where a block's tiles lie, packed for the kernels: the form (top 4 bits) and the slab in the
/// pool of that form. Form 0 is exact; forms from 1 on are the rungs of the policy by age.
public final class BlockRef {

  /// The exact form.
  public static final int EXACT = 0;

  /// No slab: a block does not exist in that form, or not any more.
  public static final int NONE = -1;

  private static final int SLAB_BITS = 28;

  /// Slabs that a pool can have at most.
  public static final int MAX_SLABS = 1 << SLAB_BITS;

  /// Forms that a reference can tell apart; the last number is kept free for [#NONE].
  public static final int MAX_FORMS = 15;

  private BlockRef() {}

  public static int of(int form, int slab) {
    return form << SLAB_BITS | slab;
  }

  public static int form(int ref) {
    return ref >>> SLAB_BITS;
  }

  public static int slab(int ref) {
    return ref & (MAX_SLABS - 1);
  }
}
