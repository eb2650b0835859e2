package dev.tessera.kvcache;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A prefix on its way back from the tier below, slab by slab. Made and moved on by [KvCache]; the
/// sequence that it is for waits meanwhile, and others go on.
public final class Recall {
  final HashChain chain;
  final int[] tokens;
  final Deque<Missing> missing; // in the order of the blocks
  final Deque<Coming> coming = new ArrayDeque<>();

  /// The last block that has come; null before the first.
  @Nullable PrefixNode tip;

  boolean isBroken;

  /// Judges whether reading a prefix beats computing it.
  @FunctionalInterface
  public interface Worth {

    /// Whatever it takes.
    Worth ALWAYS = (nanos, from, to) -> true;

    /// @param nanos that reading it takes, with all that is on its way; 0 if nothing is known
    /// @param from tokens of it that are here
    /// @param to tokens of it that would be
    boolean test(double nanos, int from, int to);
  }

  /// A slab that is not here.
  record Missing(int index, SlabKey key) {}

  /// A slab that was sent for.
  record Coming(Missing slab, long bytes, Fetch fetch) {}

  Recall(HashChain chain, int[] tokens, List<Missing> missing) {
    this.chain = chain;
    this.tokens = tokens;
    this.missing = new ArrayDeque<>(missing);
  }

  /// Whether something of it was lost: what has come may do for a shorter prefix.
  public boolean isBroken() {
    return isBroken;
  }

  /// Waits until its next slab is there, or for so long.
  public void await(long nanos) throws InterruptedException {
    Coming next = coming.peekFirst();
    if (next != null) {
      next.fetch.await(nanos);
    }
  }
}
