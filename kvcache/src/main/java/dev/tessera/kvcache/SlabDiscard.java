package dev.tessera.kvcache;

/// Told when the memory of a free slab may go back to the machine.
@FunctionalInterface
public interface SlabDiscard {
  void discard(int group, int form, int slab);
}
