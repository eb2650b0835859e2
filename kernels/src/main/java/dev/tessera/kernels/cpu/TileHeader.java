package dev.tessera.kernels.cpu;

import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.ExactFormat;
import dev.tessera.kvcache.KvGeometry;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.SlabLayout;
import dev.tessera.kvcache.TileShape;
import java.util.List;

/// Renders `tile_format.h` from the formats of the cache, which alone define the bytes of a tile.
///
/// The index macros are C; the assertions behind them are computed by [ExactFormat] and
/// [SlabLayout], so that the C compiler refuses a header that says something else.
final class TileHeader {

  private static final int[] HEAD_DIMENSIONS = {8, 40, 64, 80, 128, 256};
  private static final int LANES = 16;

  private TileHeader() {}

  /// The text of the header.
  static String render() {
    var text = new StringBuilder();
    text.append(
        """
        /* The tiles of this backend. Rendered from ExactFormat, CodedFormat and SlabLayout by TileHeader;
         * TileHeaderTest tells how to render it again. */
        #ifndef TESSERA_TILE_FORMAT_H
        #define TESSERA_TILE_FORMAT_H

        enum {
        """);
    constant(text, "TS_BLOCK_TOKENS", TileShape.BLOCK_TOKENS);
    constant(text, "TS_KEY_LANES", LANES);
    constant(text, "TS_ELEMENT_BYTES", format(64, true).element().bytes());
    constant(text, "TS_TILE_ALIGNMENT", SlabLayout.ALIGNMENT);
    constant(text, "TS_SLAB_MASK", BlockRef.MAX_SLABS - 1);
    constant(text, "TS_FORM_SHIFT", Integer.numberOfTrailingZeros(BlockRef.of(1, 0)));
    constant(text, "TS_MAX_FORMS", BlockRef.MAX_FORMS - 1);
    constant(text, "TS_GROUP_CHANNELS", CodedFormat.GROUP_CHANNELS);
    constant(text, "TS_BYTE_WIDTH", CodedFormat.BYTE);
    for (CodedFormat.Coding coding : CodedFormat.Coding.values()) {
      constant(text, "TS_CODING_" + coding, number(coding));
    }
    text.append(
        """
        };

        /* Keys: [tokens / 16][head dimension][16]. */
        #define TS_KEY_INDEX(dim, token, i) \\
          (((token) / TS_KEY_LANES * (dim) + (i)) * TS_KEY_LANES + (token) % TS_KEY_LANES)

        /* Values: [tokens][head dimension]. */
        #define TS_VALUE_INDEX(dim, token, i) ((token) * (dim) + (i))

        /* From a key tile to the value tile of its head. */
        #define TS_VALUE_OFFSET(dim) (TS_BLOCK_TOKENS * (dim) * TS_ELEMENT_BYTES)

        /* Coded tiles, in the stream of a group: element (summed, lane) of `lanes` lanes. */
        #define TS_STREAM_INDEX(lanes, summed, lane) \\
          ((((summed) / 4) * (lanes) + (lane)) * 4 + ((summed) % 4 % 3 ? 3 - (summed) % 4 : (summed) % 4))

        """);
    for (int dimension : HEAD_DIMENSIONS) {
      assertions(text, dimension);
    }
    CodedFormat keys = coded(CodedFormat.Role.KEY);
    CodedFormat values = coded(CodedFormat.Role.VALUE);
    for (int summed = 4; summed < 8; summed++) {
      stream(text, TileShape.BLOCK_TOKENS, summed, keys.streamIndex(0, 3, summed));
      stream(text, CodedFormat.GROUP_CHANNELS, summed, values.streamIndex(0, summed, 3));
    }
    return text.append("\n#endif\n").toString();
  }

  /// A kind of codes in C.
  @SuppressWarnings("EnumOrdinal") // the header says what it means
  static int number(CodedFormat.Coding coding) {
    return coding.ordinal();
  }

  private static void constant(StringBuilder text, String name, long value) {
    text.append("  ").append(name).append(" = ").append(value).append(",\n");
  }

  private static void assertions(StringBuilder text, int dimension) {
    ExactFormat key = format(dimension, true);
    ExactFormat value = format(dimension, false);
    for (int token : new int[] {17, TileShape.BLOCK_TOKENS - 1}) {
      int last = dimension - 1;
      assertion(text, "TS_KEY_INDEX", dimension, token, last, key.index(token, last));
      assertion(text, "TS_VALUE_INDEX", dimension, token, last, value.index(token, last));
    }
    var kv = new KvGeometry(List.of(new LayerGroup(0, List.of(0), 0, 0)), 1, 1, dimension);
    text.append("_Static_assert(TS_VALUE_OFFSET(%d) == ".formatted(dimension))
        .append(NativeBackend.slabs(kv)[0].valueOffset())
        .append(", \"value offset\");\n");
  }

  private static void stream(StringBuilder text, int lanes, int summed, int index) {
    text.append(
        "_Static_assert(TS_STREAM_INDEX(%d, %d, 3) == %d, \"stream order\");\n"
            .formatted(lanes, summed, index));
  }

  private static CodedFormat coded(CodedFormat.Role role) {
    TileShape shape = TileShape.of(CodedFormat.GROUP_CHANNELS);
    return new CodedFormat("p4", role, shape, List.of(4), false, 0);
  }

  private static void assertion(
      StringBuilder text, String macro, int dimension, int token, int i, int index) {
    text.append(
        "_Static_assert(%s(%d, %d, %d) == %d, \"%s\");\n"
            .formatted(macro, dimension, token, i, index, "element order"));
  }

  private static ExactFormat format(int dimension, boolean isKey) {
    var kv = new KvGeometry(List.of(new LayerGroup(0, List.of(0), 0, 0)), 1, 1, dimension);
    SlabLayout slab = NativeBackend.slabs(kv)[0];
    return (ExactFormat) (isKey ? slab.key() : slab.value());
  }
}
