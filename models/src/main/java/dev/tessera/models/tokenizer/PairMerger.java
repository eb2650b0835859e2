package dev.tessera.models.tokenizer;

import java.util.Arrays;

/// Merges the symbols of one word, best pair first: a linked list of symbols and a heap of the
/// pairs that may merge, so that a word of n symbols takes n log n steps however it is made. One
/// per call; its arrays are kept from word to word.
final class PairMerger {
  private static final int NONE = -1;

  private int[] symbols = new int[64];
  private int[] next = new int[64];
  private int[] previous = new int[64];
  private int[] rank = new int[64]; // of the pair that starts here, or NONE
  private int[] merged = new int[64]; // what that pair becomes
  private long[] heap = new long[64]; // rank in the high half, position in the low: least first
  private int size;
  private int heapSize;

  void clear() {
    size = 0;
  }

  /// Appends a symbol; a negative one merges with nothing.
  void add(int symbol) {
    if (size == symbols.length) {
      int capacity = Math.multiplyExact(size, 2);
      symbols = Arrays.copyOf(symbols, capacity);
      next = Arrays.copyOf(next, capacity);
      previous = Arrays.copyOf(previous, capacity);
      rank = Arrays.copyOf(rank, capacity);
      merged = Arrays.copyOf(merged, capacity);
    }
    symbols[size++] = symbol;
  }

  int symbol(int position) {
    return symbols[position];
  }

  /// The position of the symbol behind, or -1. The first is at 0: a merge keeps the left position.
  int next(int position) {
    return next[position];
  }

  /// Merges until no pair is in the table. Of equal ranks the leftmost goes first.
  ///
  /// @param pairs left symbol and right symbol, as [LongMap#pair], to rank and merged symbol
  void merge(LongMap pairs) {
    heapSize = 0;
    for (int i = 0; i < size; i++) {
      previous[i] = i - 1;
      next[i] = i + 1 < size ? i + 1 : NONE;
    }
    for (int i = 0; i < size; i++) {
      look(i, pairs);
    }
    while (heapSize > 0) {
      long best = pop();
      int left = (int) best;
      if (rank[left] != (int) (best >>> 32)) {
        continue; // one of the two has merged with another since
      }
      int right = next[left];
      symbols[left] = merged[left];
      next[left] = next[right];
      if (next[right] != NONE) {
        previous[next[right]] = left;
      }
      rank[right] = NONE;
      look(left, pairs);
      if (previous[left] != NONE) {
        look(previous[left], pairs);
      }
    }
  }

  private void look(int left, LongMap pairs) {
    rank[left] = NONE;
    int right = next[left];
    if (right == NONE || symbols[left] < 0 || symbols[right] < 0) {
      return;
    }
    long found = pairs.get(LongMap.pair(symbols[left], symbols[right]));
    if (found != LongMap.ABSENT) {
      rank[left] = (int) (found >>> 32);
      merged[left] = (int) found;
      push((found & ~0xFFFFFFFFL) | left);
    }
  }

  private void push(long value) {
    if (heapSize == heap.length) {
      heap = Arrays.copyOf(heap, Math.multiplyExact(heapSize, 2));
    }
    int child = heapSize++;
    while (child > 0) {
      int parent = (child - 1) >>> 1;
      if (heap[parent] <= value) {
        break;
      }
      heap[child] = heap[parent];
      child = parent;
    }
    heap[child] = value;
  }

  private long pop() {
    long top = heap[0];
    long value = heap[--heapSize];
    int parent = 0;
    while (true) {
      int child = 2 * parent + 1;
      if (child >= heapSize) {
        break;
      }
      if (child + 1 < heapSize && heap[child + 1] < heap[child]) {
        child++;
      }
      if (heap[child] >= value) {
        break;
      }
      heap[parent] = heap[child];
      parent = child;
    }
    heap[parent] = value;
    return top;
  }
}
