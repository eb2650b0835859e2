package dev.tessera.kernels.codec;

import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.CodedFormat.Role;
import dev.tessera.kvcache.TileShape;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The codes that nothing has to be learned for: Hadamard's basis, one width for all channels. Keys
/// are centred on the mean of their tile; values gain nothing by that.
///
/// | name            | code                                                                        |
/// |-----------------|-----------------------------------------------------------------------------|
/// | `i8`            | 256 even steps to a token's largest channel                                 |
/// | `p5 p4 p3 p2`   | bit planes of the Gaussian code with the least error, on vectors of unit size |
///
/// A turning mean costs nothing and can go with any of them.
public final class PlainCodes {

  private PlainCodes() {}

  /// Eight bits for every channel.
  public static TileCode i8(Role role, int headDim, @Nullable Turn turn) {
    return code("i8", role, headDim, LevelTable.of(CodedFormat.BYTE), 0, turn);
  }

  /// Tiles that stay at one width, from 1 to 6 bits.
  ///
  /// @param spared tokens of a key tile that are kept as they are
  public static TileCode planes(
      Role role, int headDim, int width, int spared, @Nullable Turn turn) {
    return code("p" + width, role, headDim, LevelTable.of(width), spared, turn);
  }

  /// Tiles that lose planes as they age.
  ///
  /// @param fullWidth planes that a vector is encoded with
  /// @param widths planes that each form keeps, not ascending
  /// @return a code per form
  public static List<TileCode> ladder(
      Role role,
      int headDim,
      int fullWidth,
      List<Integer> widths,
      int spared,
      @Nullable Turn turn) {
    return widths.stream()
        .map(
            width ->
                code("p" + width, role, headDim, LevelTable.cut(fullWidth, width), spared, turn))
        .toList();
  }

  private static TileCode code(
      String name, Role role, int headDim, LevelTable table, int spared, @Nullable Turn turn) {
    int groups = CodedFormat.groups(headDim);
    var format =
        new CodedFormat(
            name,
            role,
            TileShape.of(headDim),
            Collections.nCopies(groups, table.width()),
            role == Role.KEY,
            spared);
    var sigma = new float[headDim];
    Arrays.fill(sigma, 1);
    var fullWidths = new int[groups];
    Arrays.fill(fullWidths, table.fullWidth());
    return new TileCode(
        format,
        new Basis.Hadamard(headDim),
        sigma,
        Collections.nCopies(groups, table),
        fullWidths,
        turn);
  }
}
