package dev.tessera.kernels;

import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.FormLayout;
import dev.tessera.kvcache.TileFormat;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// One cooled form of a layer group's blocks.
///
/// @param keys `[layers of the group][kvHeads]`, how each key tile is coded; null where its format
///   is exact
/// @param values the same for the value tiles
/// @param slabs slabs of this form at most
public record CooledForm(
    FormLayout layout,
    List<List<@Nullable TileCode>> keys,
    List<List<@Nullable TileCode>> values,
    int slabs) {

  public CooledForm {
    keys = copy("keys", layout.keys(), keys, CodedFormat.Role.KEY);
    values = copy("values", layout.values(), values, CodedFormat.Role.VALUE);
  }

  private static List<List<@Nullable TileCode>> copy(
      String what,
      List<List<TileFormat>> formats,
      List<List<@Nullable TileCode>> codes,
      CodedFormat.Role role) {
    Shapes.require("layers of codes of " + what, codes.size(), formats.size());
    var copies = new ArrayList<List<@Nullable TileCode>>();
    for (int layer = 0; layer < formats.size(); layer++) {
      List<@Nullable TileCode> heads = codes.get(layer);
      Shapes.require("codes of " + what, heads.size(), formats.get(layer).size());
      for (int head = 0; head < heads.size(); head++) {
        TileFormat format = formats.get(layer).get(head);
        TileCode code = heads.get(head);
        boolean fits =
            code == null
                ? !(format instanceof CodedFormat)
                : code.format().equals(format) && code.format().role() == role;
        if (!fits) {
          throw new IllegalArgumentException(
              "%s of layer %d in its group, KV head %d: format %s with the code of %s"
                  .formatted(what, layer, head, format, code == null ? "nothing" : code.format()));
        }
      }
      copies.add(Collections.unmodifiableList(new ArrayList<>(heads)));
    }
    return Collections.unmodifiableList(copies);
  }
}
