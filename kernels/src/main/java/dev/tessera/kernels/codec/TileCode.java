package dev.tessera.kernels.codec;

import dev.tessera.kernels.Shapes;
import dev.tessera.kvcache.CodedFormat;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// How one tile (of a layer and KV head, keys or values) is coded in one form: its format, and
/// everything that a kernel needs beside the bytes to write and read it.
///
/// @param sigma `[headDim]`, the spread of each channel in the basis; 1 where nothing was learned
/// @param tables `[groups]`
/// @param fullWidths `[groups]`, the widths that vectors are encoded with; those of the format
///   where nothing is cut
/// @param turn keys alone; null for none
public record TileCode(
    CodedFormat format,
    Basis basis,
    float[] sigma,
    List<LevelTable> tables,
    int[] fullWidths,
    @Nullable Turn turn) {

  public TileCode {
    tables = List.copyOf(tables);
    int headDim = format.shape().headDim();
    if (basis.headDim() != headDim) {
      throw new IllegalArgumentException(
          "a basis of %d channels for format %s with head dimension %d"
              .formatted(basis.headDim(), format.name(), headDim));
    }
    Shapes.require("sigma", sigma.length, headDim);
    Shapes.require("level tables", tables.size(), format.groups());
    Shapes.require("full widths", fullWidths.length, format.groups());
    for (int group = 0; group < fullWidths.length; group++) {
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
    if (turn != null) {
      if (format.role() != CodedFormat.Role.KEY) {
        throw new IllegalArgumentException("only keys turn with their position");
      }
      Shapes.require("turning mean", turn.mean().length, headDim);
    }
  }
}
