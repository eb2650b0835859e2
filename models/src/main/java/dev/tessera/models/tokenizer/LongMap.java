package dev.tessera.models.tokenizer;

import java.util.Arrays;

/// Non-negative longs to longs, by open addressing: half a million merges as two arrays rather than
/// two million objects. Filled once, then read by many threads.
final class LongMap {
  /// What [#get] answers for a key that is not there. No value may equal it.
  static final long ABSENT = -1;

  private long[] keys;
  private long[] values;
  private int size;
  private int shift;

  LongMap(int expected) {
    int capacity = Integer.highestOneBit(Math.max(8, Math.min(expected, 1 << 28)) * 2 - 1) * 2;
    keys = new long[capacity];
    values = new long[capacity];
    Arrays.fill(keys, ABSENT);
    shift = Long.numberOfLeadingZeros(capacity - 1);
  }

  static long pair(int high, int low) {
    return ((long) high << 32) | low;
  }

  long get(long key) {
    int slot = slot(key);
    return keys[slot] == key ? values[slot] : ABSENT;
  }

  /// Stores the value unless the key has one; whether it was stored.
  boolean putIfAbsent(long key, long value) {
    int slot = slot(key);
    if (keys[slot] == key) {
      return false;
    }
    keys[slot] = key;
    values[slot] = value;
    if (++size * 2 > keys.length) {
      grow();
    }
    return true;
  }

  private int slot(long key) {
    int slot = (int) ((key * 0x9E3779B97F4A7C15L) >>> shift);
    while (keys[slot] != key && keys[slot] != ABSENT) {
      slot = (slot + 1) & (keys.length - 1);
    }
    return slot;
  }

  private void grow() {
    long[] oldKeys = keys;
    long[] oldValues = values;
    keys = new long[Math.multiplyExact(oldKeys.length, 2)];
    values = new long[keys.length];
    Arrays.fill(keys, ABSENT);
    shift--;
    for (int i = 0; i < oldKeys.length; i++) {
      if (oldKeys[i] != ABSENT) {
        int slot = slot(oldKeys[i]);
        keys[slot] = oldKeys[i];
        values[slot] = oldValues[i];
      }
    }
  }
}
