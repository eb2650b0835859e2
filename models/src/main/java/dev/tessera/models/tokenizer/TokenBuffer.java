package dev.tessera.models.tokenizer;

import java.util.Arrays;

/// A growing list of token ids.
final class TokenBuffer {
  private int[] ids = new int[64];
  private int size;

  void add(int id) {
    if (size == ids.length) {
      ids = Arrays.copyOf(ids, Math.addExact(size, size));
    }
    ids[size++] = id;
  }

  void addAll(int[] more) {
    for (int id : more) {
      add(id);
    }
  }

  int size() {
    return size;
  }

  int get(int index) {
    return ids[index];
  }

  void set(int index, int id) {
    ids[index] = id;
  }

  int[] from(int start) {
    return Arrays.copyOfRange(ids, start, size);
  }

  void reverse(int start) {
    for (int i = start, j = size - 1; i < j; i++, j--) {
      int id = ids[i];
      ids[i] = ids[j];
      ids[j] = id;
    }
  }

  int[] toArray() {
    return Arrays.copyOf(ids, size);
  }
}
