package dev.tessera.kvcache;

import java.util.HexFormat;
import org.jspecify.annotations.Nullable;

/// The name of a slab's bytes: the block, which names its tokens and all before it, the layer group
/// and the form. The same in every process that computes the same bytes.
public record SlabKey(BlockHash block, int group, int form) {
  private static final HexFormat HEX = HexFormat.of();

  /// As a word: 64 hexadecimal digits, group and form.
  String text() {
    return HEX.formatHex(block.bytes()) + '-' + group + '-' + form;
  }

  /// The key of a word that [#text()] has given; null for any other.
  static @Nullable SlabKey parse(String text) {
    String[] parts = text.split("-", -1);
    if (parts.length != 3 || parts[0].length() != 64) {
      return null;
    }
    try {
      SlabKey key =
          new SlabKey(
              BlockHash.of(HEX.parseHex(parts[0])),
              Integer.parseInt(parts[1]),
              Integer.parseInt(parts[2]));
      return key.text().equals(text) ? key : null;
    } catch (IllegalArgumentException e) {
      return null;
    }
  }
}
