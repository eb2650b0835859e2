package dev.tessera.models.tokenizer;

import dev.tessera.models.ModelFormatException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/// SentencePiece's compiled normalisation: the longest prefix found in a double-array trie is
/// replaced. The blob is the trie's size in bytes, the trie as 32-bit units (darts-clone: offset
/// bits 10 to 30, bit 9 scales it by 256, bit 8 marks a leaf below, the low byte is the label), and
/// then the replacements, each ended by a zero byte.
final class PrecompiledCharacters implements Normalization {
  private final int[] units;
  private final byte[] replacements;

  PrecompiledCharacters(byte[] blob) throws ModelFormatException {
    ByteBuffer buffer = ByteBuffer.wrap(blob).order(ByteOrder.LITTLE_ENDIAN);
    long size = blob.length < 4 ? -1 : Integer.toUnsignedLong(buffer.getInt());
    if (size < 4 || size % 4 != 0 || size > buffer.remaining()) {
      throw new ModelFormatException(
          "precompiled_charsmap: its trie has %,d bytes; the map has %,d"
              .formatted(size, blob.length));
    }
    units = new int[(int) (size / 4)];
    buffer.asIntBuffer().get(units);
    replacements = new byte[buffer.remaining() - (int) size];
    buffer.position(4 + (int) size).get(replacements);
    if (replacements.length > 0 && replacements[replacements.length - 1] != 0) {
      throw new ModelFormatException("precompiled_charsmap: the last replacement has no end");
    }
  }

  @Override
  public String apply(String text) {
    byte[] input = text.getBytes(StandardCharsets.UTF_8);
    TokenBuffer output = new TokenBuffer();
    for (int i = 0; i < input.length; ) {
      int node = offset(unit(0));
      int length = 0;
      int value = 0;
      for (int j = i; j < input.length && input[j] != 0; j++) {
        int label = input[j] & 0xFF;
        node ^= label;
        int unit = unit(node);
        if ((unit & 0x800000FF) != label) {
          break;
        }
        node ^= offset(unit);
        if ((unit & 0x100) != 0) {
          length = j + 1 - i;
          value = unit(node) & 0x7FFFFFFF;
        }
      }
      if (length > 0 && value < replacements.length) {
        for (int j = value; replacements[j] != 0; j++) {
          output.add(replacements[j]);
        }
        i += length;
      } else {
        do {
          output.add(input[i++]);
        } while (i < input.length && (input[i] & 0xC0) == 0x80);
      }
    }
    byte[] bytes = new byte[output.size()];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) output.get(i);
    }
    return new String(bytes, StandardCharsets.UTF_8);
  }

  /// A damaged trie points outside itself; no label matches there.
  private int unit(int index) {
    return index >= 0 && index < units.length ? units[index] : 0x80000000;
  }

  private static int offset(int unit) {
    return (unit >>> 10) << ((unit & 0x200) >>> 6);
  }
}
