package dev.tessera.kernels;

/// What a session must have room for.
///
/// @param rows rows of a step at most
/// @param logitRows logits rows of a step at most
/// @param sequences sequences of a step at most
/// @param slabs `[groups]` exact slabs of each layer group at most. Address space is reserved for
///   them; memory is taken when a slab is first written
public record SessionLimits(int rows, int logitRows, int sequences, int[] slabs) {}
