package dev.tessera.kvcache;

/// Where a block's tiles lie, packed for the kernels: the form (top 4 bits) and the slab in the
/// pool of that form. Form 0 is exact.
public final class BlockRef {

  /// The exact form.
  public static final int EXACT = 0;

  private static final int SLAB_BITS = 28;

  /// Slabs that a pool can have at most.
  public static final int MAX_SLABS = 1 << SLAB_BITS;

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
