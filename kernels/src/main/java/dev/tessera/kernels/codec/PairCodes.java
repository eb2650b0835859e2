package dev.tessera.kernels.codec;

import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.CodedFormat.Coding;
import dev.tessera.kvcache.CodedFormat.Role;
import dev.tessera.kvcache.TileShape;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The codes `pq64 pq16`: a codeword for every two neighbouring channels in Hadamard's basis, of
/// vectors of unit size (product quantisation, Jégou et al., 2011). Keys are centred on the mean of
/// their tile.
public final class PairCodes {

  private PairCodes() {}

  /// With the codewords that suit the unit Gaussian.
  ///
  /// @param width bits of a channel, 2 or 3
  public static TileCode universal(Role role, int headDim, int width, @Nullable Turn turn) {
    return of(role, headDim, width, GaussianPairs.table(width), turn);
  }

  /// With the same codewords for all pairs of channels.
  public static TileCode of(
      Role role, int headDim, int width, PairTable table, @Nullable Turn turn) {
    return of(role, headDim, width, Collections.nCopies(headDim / 2, table), turn);
  }

  /// With codewords of their own for every pair of channels.
  ///
  /// @param tables `[headDim / 2]`
  public static TileCode of(
      Role role, int headDim, int width, List<PairTable> tables, @Nullable Turn turn) {
    int groups = CodedFormat.groups(headDim);
    var format =
        new CodedFormat(
            "pq" + PairTable.codewords(width),
            Coding.PAIRS,
            role,
            TileShape.of(headDim),
            Collections.nCopies(groups, width),
            role == Role.KEY,
            0);
    var sigma = new float[headDim];
    Arrays.fill(sigma, 1);
    var widths = new int[groups];
    Arrays.fill(widths, width);
    return new TileCode(
        format, new Basis.Hadamard(headDim), sigma, List.of(), tables, widths, turn);
  }
}
