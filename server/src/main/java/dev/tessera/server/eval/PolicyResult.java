package dev.tessera.server.eval;

import dev.tessera.kernels.CooledForm;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kvcache.TileFormat;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// What was measured of a policy.
///
/// @param policy as it was given
/// @param keyBits stored bits of an element of a key tile in its coolest form, everything included
/// @param valueBits the same of a value tile
/// @param tokensPerGiB cold tokens that a gibibyte holds
/// @param deeper the rest of the protocol; null where that was not asked for
/// @param invariant whether steps of another size gave the same bits; null where that was not tried
public record PolicyResult(
    String policy,
    double keyBits,
    double valueBits,
    double tokensPerGiB,
    Fidelity fidelity,
    @Nullable Boolean invariant,
    @Nullable Deeper deeper,
    double seconds) {

  double bits() {
    return (keyBits + valueBits) / 2;
  }

  /// What tiles take in the coolest form.
  record Storage(double keyBits, double valueBits, double tokensPerGiB) {

    static Storage of(CooledForms forms) {
      long keyBytes = 0;
      long valueBytes = 0;
      long elements = 0;
      double tokenBytes = 0;
      for (List<CooledForm> group : forms.groups()) {
        if (group.isEmpty()) {
          continue;
        }
        CooledForm coolest = group.getLast();
        for (List<TileFormat> heads : coolest.layout().keys()) {
          for (TileFormat format : heads) {
            keyBytes += format.tileBytes();
            elements += format.shape().elements();
          }
        }
        for (List<TileFormat> heads : coolest.layout().values()) {
          for (TileFormat format : heads) {
            valueBytes += format.tileBytes();
          }
        }
        tokenBytes += (double) coolest.layout().slabBytes() / 64;
      }
      return new Storage(
          8.0 * keyBytes / elements, 8.0 * valueBytes / elements, (1L << 30) / tokenBytes);
    }
  }
}
