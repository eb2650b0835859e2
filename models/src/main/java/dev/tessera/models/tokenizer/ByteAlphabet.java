package dev.tessera.models.tokenizer;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// How byte-level vocabularies write bytes as printable characters (GPT-2): printable ones of
/// Latin-1 stand for themselves, the other 68 are shifted to U+0100 and above.
final class ByteAlphabet {
  private static final char[] CHARACTERS = new char[256];
  private static final short[] BYTES = new short[0x144];

  static {
    Arrays.fill(BYTES, (short) -1);
    int shifted = 0x100;
    for (int b = 0; b < 256; b++) {
      boolean printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      CHARACTERS[b] = (char) (printable ? b : shifted++);
      BYTES[CHARACTERS[b]] = (short) b;
    }
  }

  private ByteAlphabet() {}

  static char character(int unsignedByte) {
    return CHARACTERS[unsignedByte];
  }

  static String spell(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    StringBuilder spelt = new StringBuilder(bytes.length);
    for (byte b : bytes) {
      spelt.append(CHARACTERS[b & 0xFF]);
    }
    return spelt.toString();
  }

  /// The bytes that a piece stands for, or null where it has a character outside the alphabet.
  static byte @Nullable [] bytes(String piece) {
    byte[] bytes = new byte[piece.length()];
    for (int i = 0; i < bytes.length; i++) {
      char c = piece.charAt(i);
      if (c >= BYTES.length || BYTES[c] < 0) {
        return null;
      }
      bytes[i] = (byte) BYTES[c];
    }
    return bytes;
  }
}
