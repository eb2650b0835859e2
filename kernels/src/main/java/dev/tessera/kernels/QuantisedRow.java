package dev.tessera.kernels;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// The codes of one row of a quantised tensor, whatever its type: element i is `scale(i / 16) *
/// code(i) + offset(i / 16)`, in single precision and in this order.
///
/// All block types of GGUF are of this form; they differ in where the bits of a code lie and in how
/// the scales themselves are coded. The layouts are those of the GGUF specification (`Q4_0` to
/// `Q8_0` in blocks of 32, the K types in super-blocks of 256).
public final class QuantisedRow {

  /// Elements that share a scale and an offset. Most types have coarser groups.
  public static final int GROUP = 16;

  /// The offset of types that have none: the one number whose addition changes nothing, not even
  /// the sign of a zero.
  private static final float NO_OFFSET = -0.0f;

  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final byte[] codes; // [columns]
  private final float[] scales; // [columns / 16]
  private final float[] offsets; // [columns / 16]

  public QuantisedRow(int columns) {
    codes = new byte[columns];
    scales = new float[columns / GROUP];
    offsets = new float[columns / GROUP];
  }

  /// Whether tensors of this type have codes; the others hold plain numbers.
  public static boolean holds(TensorType type) {
    return type.blockElements() > 1;
  }

  /// `[columns]`
  public byte[] codes() {
    return codes;
  }

  /// `[columns / 16]`
  public float[] scales() {
    return scales;
  }

  /// `[columns / 16]`
  public float[] offsets() {
    return offsets;
  }

  /// The value of an element.
  public float value(int column) {
    int group = column / GROUP;
    return scales[group] * codes[column] + offsets[group];
  }

  /// Reads one row of a tensor.
  public void read(Tensor tensor, int row) {
    if (tensor.columns() != codes.length) {
      throw new IllegalArgumentException(
          "tensor %s has %d columns; this row has %d"
              .formatted(tensor.name(), tensor.columns(), codes.length));
    }
    TensorType type = tensor.type();
    long base = row * type.rowBytes(tensor.columns());
    int blocks = tensor.columns() / type.blockElements();
    for (int block = 0; block < blocks; block++) {
      long at = base + (long) block * type.blockBytes();
      int first = block * type.blockElements();
      switch (type) {
        case Q8_0 -> readEightBits(tensor.data(), at, first);
        case Q4_0 -> readNibbles(tensor.data(), at, first, false, false);
        case Q4_1 -> readNibbles(tensor.data(), at, first, true, false);
        case Q5_0 -> readNibbles(tensor.data(), at, first, false, true);
        case Q5_1 -> readNibbles(tensor.data(), at, first, true, true);
        case Q4_K -> readSuperBlock(tensor.data(), at, first, false);
        case Q5_K -> readSuperBlock(tensor.data(), at, first, true);
        case Q6_K -> readSixBits(tensor.data(), at, first);
        case F32, F16, BF16 ->
            throw new IllegalArgumentException(
                "tensor " + tensor.name() + " is " + type + ": it has no codes");
      }
    }
  }

  private void readEightBits(MemorySegment data, long at, int first) {
    setGroups(first, 32, half(data, at), NO_OFFSET);
    for (int i = 0; i < 32; i++) {
      codes[first + i] = data.get(ValueLayout.JAVA_BYTE, at + 2 + i);
    }
  }

  /// `{ f16 scale; f16 offset?; u32 fifthBits?; u8 nibbles[16] }`: byte i holds element i below and
  /// element i + 16 above. Without an offset the codes are centred.
  private void readNibbles(
      MemorySegment data, long at, int first, boolean hasOffset, boolean hasFifthBits) {
    float scale = half(data, at);
    float offset = hasOffset ? half(data, at + 2) : NO_OFFSET;
    setGroups(first, 32, scale, offset);
    long next = at + (hasOffset ? 4 : 2);
    int fifthBits = hasFifthBits ? data.get(INT, next) : 0;
    long nibbles = next + (hasFifthBits ? 4 : 0);
    int centre = hasOffset ? 0 : hasFifthBits ? 16 : 8;
    for (int i = 0; i < 32; i++) {
      int code = nibble(data, nibbles + (i & 15), i >> 4) | (fifthBits >>> i & 1) << 4;
      codes[first + i] = (byte) (code - centre);
    }
  }

  /// `{ f16 scale; f16 minimum; u8 sixBitPairs[12]; u8 fifthBits[32]?; u8 nibbles[128] }`: eight
  /// groups of 32; two neighbouring groups share 32 bytes, one in the low nibbles and one in the
  /// high ones; bit g of fifth byte i belongs to element i of group g.
  private void readSuperBlock(MemorySegment data, long at, int first, boolean hasFifthBits) {
    float scale = half(data, at);
    float minimum = half(data, at + 2);
    long pairs = at + 4;
    long fifthBits = pairs + 12;
    long nibbles = fifthBits + (hasFifthBits ? 32 : 0);
    for (int group = 0; group < 8; group++) {
      int groupFirst = first + 32 * group;
      setGroups(
          groupFirst,
          32,
          scale * sixBitScale(data, pairs, group),
          -(minimum * sixBitMinimum(data, pairs, group)));
      for (int i = 0; i < 32; i++) {
        int code = nibble(data, nibbles + 32L * (group / 2) + i, group & 1);
        if (hasFifthBits) {
          code |= (unsigned(data, fifthBits + i) >>> group & 1) << 4;
        }
        codes[groupFirst + i] = (byte) code;
      }
    }
  }

  /// The scales of groups 0 to 3 are the low six bits of bytes 0 to 3; those of groups 4 to 7 have
  /// their low four bits in bytes 8 to 11 and their high two bits on top of bytes 0 to 3.
  private static int sixBitScale(MemorySegment data, long pairs, int group) {
    return group < 4
        ? unsigned(data, pairs + group) & 63
        : nibble(data, pairs + 4 + group, 0) | (unsigned(data, pairs + group - 4) >>> 6) << 4;
  }

  /// As the scales, from bytes 4 to 7 and the high nibbles of bytes 8 to 11.
  private static int sixBitMinimum(MemorySegment data, long pairs, int group) {
    return group < 4
        ? unsigned(data, pairs + 4 + group) & 63
        : nibble(data, pairs + 4 + group, 1) | (unsigned(data, pairs + group) >>> 6) << 4;
  }

  /// `{ u8 lowNibbles[128]; u8 highPairs[64]; i8 scales[16]; f16 scale }`: two halves of 128
  /// elements, each four quarters of 32.
  private void readSixBits(MemorySegment data, long at, int first) {
    float scale = half(data, at + 208);
    for (int i = 0; i < 256; i++) {
      int halfBlock = i / 128;
      int quarter = i / 32 % 4;
      int lane = i % 32;
      int low = nibble(data, at + 64L * halfBlock + 32L * (quarter & 1) + lane, quarter >> 1);
      int high = unsigned(data, at + 128 + 32L * halfBlock + lane) >>> 2 * quarter & 3;
      codes[first + i] = (byte) ((low | high << 4) - 32);
    }
    for (int group = 0; group < 16; group++) {
      setGroups(
          first + GROUP * group,
          GROUP,
          scale * data.get(ValueLayout.JAVA_BYTE, at + 192 + group),
          NO_OFFSET);
    }
  }

  private void setGroups(int first, int elements, float scale, float offset) {
    for (int group = first / GROUP; group < (first + elements) / GROUP; group++) {
      scales[group] = scale;
      offsets[group] = offset;
    }
  }

  private static float half(MemorySegment data, long at) {
    return Float.float16ToFloat(data.get(SHORT, at));
  }

  private static int unsigned(MemorySegment data, long at) {
    return data.get(ValueLayout.JAVA_BYTE, at) & 0xff;
  }

  private static int nibble(MemorySegment data, long at, int upper) {
    return unsigned(data, at) >>> 4 * upper & 15;
  }
}
