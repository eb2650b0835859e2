package dev.tessera.kvcache;

/// One block that takes a cooler form in the next step.
///
/// @param block logical block (position / 64)
/// @param from packed [BlockRef] of the form to make it from
/// @param to packed [BlockRef] of the form to make
public record Cooling(int group, int block, int from, int to) {}
