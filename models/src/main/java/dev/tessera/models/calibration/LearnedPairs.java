package dev.tessera.models.calibration;

import dev.tessera.kernels.codec.PairTable;
import dev.tessera.kvcache.CodedFormat.Role;
import java.util.List;

/// Codewords for the keys or values of one layer and KV head.
///
/// @param width bits of a channel
/// @param tables `[headDim / 2]`
public record LearnedPairs(Role role, int width, List<PairTable> tables) {
  public LearnedPairs {
    tables = List.copyOf(tables);
  }
}
