package dev.tessera.kernels.codec;

import dev.tessera.kvcache.CodedFormat;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// The packed codes of one group of channels as a stream, a byte each, in the order of
/// [CodedFormat#streamIndex(int, int, int)].
public final class CodeStream {

  private static final int UNIT = 32;

  private CodeStream() {}

  /// Codes of a group.
  static int length(CodedFormat format, int group) {
    return format.shape().tokens() * format.groupCodes(group);
  }

  /// A group's codes: an index each, or a level where codes have eight bits.
  ///
  /// @param at where the tile starts
  public static byte[] read(CodedFormat format, int group, MemorySegment tile, long at) {
    var codes = new byte[length(format, group)];
    Cursor cursor = new Cursor(tile, at + format.codesOffset(group), codes);
    int left = format.codeWidth(group);
    for (int bits : pieces(left)) {
      left -= bits;
      cursor.unpack(bits, left);
    }
    return codes;
  }

  static void write(CodedFormat format, int group, byte[] codes, MemorySegment tile, long at) {
    Cursor cursor = new Cursor(tile, at + format.codesOffset(group), codes);
    int left = format.codeWidth(group);
    for (int bits : pieces(left)) {
      left -= bits;
      cursor.pack(bits, left);
    }
  }

  /// The bits of a code by the pieces in which they are stored, the highest first.
  private static int[] pieces(int width) {
    return switch (width) {
      case 0 -> new int[] {};
      case 3 -> new int[] {2, 1};
      case 5 -> new int[] {4, 1};
      case 6 -> new int[] {4, 2};
      default -> new int[] {width};
    };
  }

  /// Walks over the pieces of a group: each holds `bits` bits of every code, those from bit `shift`
  /// on.
  private static final class Cursor {
    private final MemorySegment tile;
    private final byte[] codes;
    private long at;

    Cursor(MemorySegment tile, long at, byte[] codes) {
      this.tile = tile;
      this.at = at;
      this.codes = codes;
    }

    void unpack(int bits, int shift) {
      int perByte = 8 / bits;
      int mask = (1 << bits) - 1;
      var unit = new byte[UNIT];
      for (int first = 0; first < codes.length; first += UNIT * perByte, at += UNIT) {
        MemorySegment.copy(tile, ValueLayout.JAVA_BYTE, at, unit, 0, UNIT);
        for (int i = 0; i < UNIT; i++) {
          int packed = unit[i] & 0xff;
          for (int k = 0; k < perByte; k++) {
            codes[first + k * UNIT + i] |= (byte) ((packed >> (k * bits) & mask) << shift);
          }
        }
      }
    }

    void pack(int bits, int shift) {
      int perByte = 8 / bits;
      int mask = (1 << bits) - 1;
      for (int first = 0; first < codes.length; first += UNIT * perByte, at += UNIT) {
        for (int i = 0; i < UNIT; i++) {
          int packed = 0;
          for (int k = 0; k < perByte; k++) {
            packed |= (codes[first + k * UNIT + i] >> shift & mask) << (k * bits);
          }
          tile.set(ValueLayout.JAVA_BYTE, at + i, (byte) packed);
        }
      }
    }
  }
}
