package dev.tessera.models.tokenizer;

import dev.tessera.models.ModelFormatException;
import dev.tessera.models.OneLine;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/// The pieces of a vocabulary by id and the ids by piece.
final class Vocabulary {
  /// Longer pieces belong to no real vocabulary, and would make matching them slow.
  static final int MAX_PIECE_CHARACTERS = 1024;

  enum Kind {
    NORMAL,
    UNKNOWN,
    CONTROL,
    USER_DEFINED,
    UNUSED,
    BYTE
  }

  /// How the pieces write text.
  enum Spelling {
    /// Every byte is a character of [ByteAlphabet].
    BYTES,
    /// U+2581 is a space; `<0x0A>` is a byte.
    WORD_MARKS
  }

  static final char WORD_MARK = '\u2581';

  private final String[] pieces;
  private final Kind[] kinds;
  private final byte[][] bytes; // [vocabularySize][…]
  private final Map<String, Integer> ids;
  private final int[] byteTokens = new int[256];

  /// @throws ModelFormatException if two tokens have one text, or a text is too long
  Vocabulary(String[] pieces, Kind[] kinds, Spelling spelling) throws ModelFormatException {
    this.pieces = pieces;
    this.kinds = kinds;
    this.bytes = new byte[pieces.length][];
    this.ids = HashMap.newHashMap(pieces.length);
    for (int id = 0; id < pieces.length; id++) {
      String piece = pieces[id];
      if (piece.length() > MAX_PIECE_CHARACTERS) {
        throw new ModelFormatException(
            "token %d is %,d characters long; at most %,d are supported"
                .formatted(id, piece.length(), MAX_PIECE_CHARACTERS));
      }
      Integer other = ids.putIfAbsent(piece, id);
      if (other != null) {
        throw new ModelFormatException(
            "token '%s' occurs twice in the vocabulary, as %d and %d"
                .formatted(OneLine.of(piece), other, id));
      }
    }
    for (int b = 0; b < 256; b++) {
      String name =
          spelling == Spelling.BYTES
              ? String.valueOf(ByteAlphabet.character(b))
              : "<0x%02X>".formatted(b);
      byteTokens[b] = ids.getOrDefault(name, -1);
    }
    for (int id = 0; id < pieces.length; id++) {
      bytes[id] = bytes(pieces[id], kinds[id], spelling);
    }
  }

  private static byte[] bytes(String piece, Kind kind, Spelling spelling) {
    switch (kind) {
      case UNKNOWN, CONTROL, USER_DEFINED:
        return piece.getBytes(StandardCharsets.UTF_8);
      case BYTE:
        int value = byteValue(piece);
        return value < 0 ? piece.getBytes(StandardCharsets.UTF_8) : new byte[] {(byte) value};
      default:
        if (spelling == Spelling.WORD_MARKS) {
          return piece.replace(WORD_MARK, ' ').getBytes(StandardCharsets.UTF_8);
        }
        byte[] spelt = ByteAlphabet.bytes(piece);
        return spelt == null ? piece.getBytes(StandardCharsets.UTF_8) : spelt;
    }
  }

  /// The byte that a piece of the form `<0x0A>` stands for, or -1.
  static int byteValue(String piece) {
    if (piece.length() != 6 || !piece.startsWith("<0x") || piece.charAt(5) != '>') {
      return -1;
    }
    int high = Character.digit(piece.charAt(3), 16);
    int low = Character.digit(piece.charAt(4), 16);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
  }

  int size() {
    return pieces.length;
  }

  String piece(int id) {
    return pieces[check(id)];
  }

  Kind kind(int id) {
    return kinds[check(id)];
  }

  byte[] bytes(int id) {
    return bytes[check(id)];
  }

  boolean isSpecial(int id) {
    Kind kind = kind(id);
    return kind == Kind.CONTROL || kind == Kind.UNKNOWN;
  }

  /// The token with this text, or -1.
  int id(String piece) {
    return ids.getOrDefault(piece, -1);
  }

  /// The token with this text if text may become it, or -1: control tokens never come of merges.
  int textId(String piece) {
    int id = id(piece);
    return id >= 0 && isText(id) ? id : -1;
  }

  boolean isText(int id) {
    return kinds[id] == Kind.NORMAL || kinds[id] == Kind.USER_DEFINED;
  }

  /// The token of a single byte, or -1.
  int byteToken(int unsignedByte) {
    return byteTokens[unsignedByte];
  }

  private int check(int id) {
    if (id < 0 || id >= pieces.length) {
      throw new IllegalArgumentException(
          "token %d is outside the vocabulary of %,d".formatted(id, pieces.length));
    }
    return id;
  }
}
