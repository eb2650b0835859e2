package dev.tessera.kernels.codec;

import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.CodedFormat.Coding;
import dev.tessera.kvcache.CodedFormat.Role;
import dev.tessera.kvcache.TileShape;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The codes that nothing has to be learned for: one width for all channels, in Hadamard's basis
/// unless the table says otherwise. There keys are centred on the mean of their tile; values gain
/// nothing by that.
///
/// | name            | code                                                                        |
/// |-----------------|-----------------------------------------------------------------------------|
/// | `i8`            | 256 even steps to a token's largest channel                                 |
/// | `p5 p4 p3 p2`   | bit planes of the Gaussian code with the least error, on vectors of unit size |
/// | `c4 c3 c2`      | keys as they are: even steps from the least to the greatest of each channel  |
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

  /// Asymmetric codes with a scale and a zero for each channel of a tile, from 1 to 6 bits (KIVI,
  /// Liu et al., 2024).
  public static TileCode channels(int headDim, int width, @Nullable Turn turn) {
    int groups = CodedFormat.groups(headDim);
    var format =
        new CodedFormat(
            "c" + width,
            Coding.CHANNELS,
            Role.KEY,
            TileShape.of(headDim),
            Collections.nCopies(groups, width),
            false,
            0);
    return code(format, new Basis.Identity(headDim), LevelTable.steps(width), turn);
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
    return code(format, new Basis.Hadamard(headDim), table, turn);
  }

  private static TileCode code(
      CodedFormat format, Basis basis, LevelTable table, @Nullable Turn turn) {
    var sigma = new float[basis.headDim()];
    Arrays.fill(sigma, 1);
    var fullWidths = new int[format.groups()];
    Arrays.fill(fullWidths, table.fullWidth());
    List<LevelTable> tables = Collections.nCopies(format.groups(), table);
    return new TileCode(format, basis, sigma, tables, List.of(), fullWidths, turn);
  }
}
