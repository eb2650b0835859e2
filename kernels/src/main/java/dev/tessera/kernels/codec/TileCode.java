package dev.tessera.kernels.codec;

import dev.tessera.kernels.Shapes;
import dev.tessera.kvcache.CodedFormat;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// How one tile (of a layer and KV head, keys or values) is coded in one form: its format, and
/// everything that a kernel needs beside the bytes to write and read it.
///
/// @param sigma `[headDim]`, the spread of each channel in the basis; 1 where nothing was learned
/// @param tables `[groups]`, none for codes of pairs
/// @param pairs `[headDim / 2]`, none for codes of single channels
/// @param fullWidths `[groups]`, the widths that vectors are encoded with; those of the format
///   where nothing is cut
/// @param turn keys alone; null for none
public record TileCode(
    CodedFormat format,
    Basis basis,
    float[] sigma,
    List<LevelTable> tables,
    List<PairTable> pairs,
    int[] fullWidths,
    @Nullable Turn turn) {

  public TileCode {
    tables = List.copyOf(tables);
    pairs = List.copyOf(pairs);
    int headDim = format.shape().headDim();
    if (basis.headDim() != headDim) {
      throw new IllegalArgumentException(
          "a basis of %d channels for format %s with head dimension %d"
              .formatted(basis.headDim(), format.name(), headDim));
    }
    Shapes.require("sigma", sigma.length, headDim);
    boolean isOfPairs = format.coding() == CodedFormat.Coding.PAIRS;
    Shapes.require("level tables", tables.size(), isOfPairs ? 0 : format.groups());
    Shapes.require("pair tables", pairs.size(), isOfPairs ? headDim / 2 : 0);
    for (int pair = 0; pair < pairs.size(); pair++) {
      pairs.get(pair).requireWidth(format.widths().get(2 * pair / CodedFormat.GROUP_CHANNELS));
    }
    Shapes.require("full widths", fullWidths.length, format.groups());
    for (int group = 0; group < tables.size(); group++) {
      LevelTable table = tables.get(group);
      if (table.width() != format.widths().get(group) || table.fullWidth() != fullWidths[group]) {
        throw new IllegalArgumentException(
            "table of %d of %d bits for group %d of format %s, which has %d of %d"
                .formatted(
                    table.width(),
                    table.fullWidth(),
                    group,
                    format.name(),
                    format.widths().get(group),
                    fullWidths[group]));
      }
    }
    boolean isOfChannels = format.coding() == CodedFormat.Coding.CHANNELS;
    if (isOfChannels != basis instanceof Basis.Identity) {
      throw new IllegalArgumentException(
          "format %s in %s: codes with a scale per channel are those of the channels themselves"
              .formatted(format.name(), basis.getClass().getSimpleName()));
    }
    if (!format.coding().isNested()
        && !Arrays.stream(fullWidths).boxed().toList().equals(format.widths())) {
      throw new IllegalArgumentException(
          "codes of format %s cannot be cut".formatted(format.name()));
    }
    long bytes = format.widths().stream().filter(width -> width == CodedFormat.BYTE).count();
    if (bytes != 0 && bytes != format.groups()) {
      throw new IllegalArgumentException(
          "format %s mixes groups of 8 bits with narrower ones: %s"
              .formatted(format.name(), format.widths()));
    }
    if (turn != null) {
      if (format.role() != CodedFormat.Role.KEY) {
        throw new IllegalArgumentException("only keys turn with their position");
      }
      Shapes.require("turning mean", turn.mean().length, headDim);
    }
  }

  /// Whether a code is a level of its own, in even steps, rather than an index into a table.
  public boolean isBytes() {
    return format.widths().getFirst() == CodedFormat.BYTE;
  }

  /// Channels with at least one bit.
  public int codedChannels() {
    int channels = 0;
    for (int group = 0; group < format.groups(); group++) {
      channels += format.widths().get(group) > 0 ? format.groupChannels(group) : 0;
    }
    return channels;
  }

  /// The code that vectors are encoded with before it is cut to this one; this one if it is not
  /// cut.
  public TileCode uncut() {
    List<Integer> full = Arrays.stream(fullWidths).boxed().toList();
    if (full.equals(format.widths())) {
      return this;
    }
    var whole =
        new CodedFormat(
            format.name(),
            format.coding(),
            format.role(),
            format.shape(),
            full,
            format.centred(),
            format.spared());
    return new TileCode(
        whole,
        basis,
        sigma,
        tables.stream().map(LevelTable::uncut).toList(),
        pairs,
        fullWidths,
        turn);
  }

  /// Whether a tile of this code becomes one of another by dropping planes alone.
  public boolean canBeCutTo(TileCode other) {
    for (int group = 0; group < tables.size(); group++) {
      if (other.tables.size() != tables.size()
          || !Arrays.equals(tables.get(group).fullBounds(), other.tables.get(group).fullBounds())
          || format.widths().get(group) < other.format.widths().get(group)) {
        return false;
      }
    }
    return format.coding() == other.format.coding()
        && format.role() == other.format.role()
        && format.shape().equals(other.format.shape())
        && format.centred() == other.format.centred()
        && format.spared() == other.format.spared()
        && Arrays.equals(fullWidths, other.fullWidths)
        && pairs.equals(other.pairs)
        && Arrays.equals(sigma, other.sigma)
        && basis.equals(other.basis)
        && Objects.equals(turn, other.turn);
  }

  void requireCutTo(TileCode other) {
    if (!canBeCutTo(other)) {
      throw new IllegalArgumentException(
          "%s of widths %s cannot be cut to %s of widths %s"
              .formatted(
                  format.name(), format.widths(), other.format.name(), other.format.widths()));
    }
  }
}
