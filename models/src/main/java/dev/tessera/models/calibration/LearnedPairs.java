package dev.tessera.models.calibration;

import dev.tessera.kernels.codec.PairTable;
import dev.tessera.kvcache.CodedFormat.Role;

/// Codewords for the keys or values of one layer and KV head.
///
/// @param width bits of a channel
public record LearnedPairs(Role role, int width, PairTable table) {}
