package dev.tessera.models.gguf;

import dev.tessera.models.ModelFormatException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/// Reads the little-endian values of a GGUF header one behind the other, and never past the end of
/// the file or the longest header that is accepted.
///
/// Every count is compared with the bytes that are left before anything is allocated for it, so
/// memory is bounded by a small multiple of the file's own length.
final class HeaderReader {
  /// Ten times the header of the largest vocabularies in use.
  static final long LONGEST_HEADER = 64L << 20;

  private static final int LONGEST_ARRAY = 1 << 24;
  private static final int DEEPEST_ARRAY = 4;

  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfDouble DOUBLE =
      ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final MemorySegment file;
  private final String fileName;
  private final long end;
  private long position;

  HeaderReader(MemorySegment file, String fileName) {
    this.file = file;
    this.fileName = fileName;
    this.end = Math.min(file.byteSize(), LONGEST_HEADER);
  }

  long position() {
    return position;
  }

  ModelFormatException refuse(String reason) {
    return new ModelFormatException(fileName + ": " + reason);
  }

  int readInt(String what) throws ModelFormatException {
    return file.get(INT, advance(4, what));
  }

  long readLong(String what) throws ModelFormatException {
    return file.get(LONG, advance(8, what));
  }

  /// A number of things of which each takes at least `leastBytes` in the rest of the header.
  int readCount(String what, int leastBytes) throws ModelFormatException {
    long count = readLong(what);
    long most = Math.min((end - position) / leastBytes, LONGEST_ARRAY);
    if (count < 0 || count > most) {
      throw refuse(
          "%s is %s; the %,d bytes that follow have room for at most %,d"
              .formatted(what, Long.toUnsignedString(count), end - position, most));
    }
    return (int) count;
  }

  String readString(String what, int longest) throws ModelFormatException {
    long length = readLong(what);
    long most = Math.min(end - position, longest);
    if (length < 0 || length > most) {
      throw refuse(
          "%s at byte %,d is a string of %s bytes; expected at most %,d"
              .formatted(what, position, Long.toUnsignedString(length), most));
    }
    if (length == 0) {
      return "";
    }
    byte[] bytes = new byte[(int) length];
    MemorySegment.copy(file, ValueLayout.JAVA_BYTE, advance(length, what), bytes, 0, bytes.length);
    return new String(bytes, StandardCharsets.UTF_8);
  }

  /// A value of the kind that comes next: its type, then itself.
  Object readValue(String key) throws ModelFormatException {
    ValueType type = readType(key);
    return type == ValueType.ARRAY ? readArray(key, 1) : readScalar(type, key);
  }

  private ValueType readType(String key) throws ModelFormatException {
    int id = readInt("the type of " + key);
    if (id < 0 || id >= ValueType.values().length) {
      throw refuse("%s has the unknown value type %d; expected 0 to 12".formatted(key, id));
    }
    return ValueType.values()[id];
  }

  private Object readScalar(ValueType type, String key) throws ModelFormatException {
    return switch (type) {
      case FLOAT32, FLOAT64 -> readDouble(type, key);
      case BOOL -> readBoolean(key);
      case STRING -> readString(key, Integer.MAX_VALUE);
      case ARRAY -> throw new IllegalArgumentException("an array is no scalar");
      default -> readInteger(type, key);
    };
  }

  private Object readArray(String key, int depth) throws ModelFormatException {
    if (depth > DEEPEST_ARRAY) {
      throw refuse("%s nests arrays more than %d deep".formatted(key, DEEPEST_ARRAY));
    }
    ValueType type = readType(key);
    int length = readCount("the length of " + key, type.leastBytes);
    return switch (type) {
      case STRING -> {
        String[] strings = new String[length];
        for (int i = 0; i < length; i++) {
          strings[i] = readString(key, Integer.MAX_VALUE);
        }
        yield strings;
      }
      case BOOL -> {
        boolean[] booleans = new boolean[length];
        for (int i = 0; i < length; i++) {
          booleans[i] = readBoolean(key);
        }
        yield booleans;
      }
      case FLOAT32, FLOAT64 -> {
        double[] doubles = new double[length];
        for (int i = 0; i < length; i++) {
          doubles[i] = readDouble(type, key);
        }
        yield doubles;
      }
      case ARRAY -> {
        Object[] arrays = new Object[length];
        for (int i = 0; i < length; i++) {
          arrays[i] = readArray(key, depth + 1);
        }
        yield arrays;
      }
      default -> {
        long[] integers = new long[length];
        for (int i = 0; i < length; i++) {
          integers[i] = readInteger(type, key);
        }
        yield integers;
      }
    };
  }

  private long readInteger(ValueType type, String key) throws ModelFormatException {
    long at = advance(type.leastBytes, key);
    return switch (type) {
      case UINT8 -> Byte.toUnsignedLong(file.get(ValueLayout.JAVA_BYTE, at));
      case INT8 -> file.get(ValueLayout.JAVA_BYTE, at);
      case UINT16 -> Short.toUnsignedLong(file.get(SHORT, at));
      case INT16 -> file.get(SHORT, at);
      case UINT32 -> Integer.toUnsignedLong(file.get(INT, at));
      case INT32 -> file.get(INT, at);
      case UINT64, INT64 -> file.get(LONG, at);
      default -> throw new IllegalArgumentException(type + " is no integer");
    };
  }

  private double readDouble(ValueType type, String key) throws ModelFormatException {
    long at = advance(type.leastBytes, key);
    return type == ValueType.FLOAT32 ? file.get(FLOAT, at) : file.get(DOUBLE, at);
  }

  private boolean readBoolean(String key) throws ModelFormatException {
    byte value = file.get(ValueLayout.JAVA_BYTE, advance(1, key));
    if (value != 0 && value != 1) {
      throw refuse("%s is a truth value of %d; expected 0 or 1".formatted(key, value));
    }
    return value == 1;
  }

  private long advance(long bytes, String what) throws ModelFormatException {
    if (bytes > end - position) {
      throw refuse(
          (end < file.byteSize()
                  ? "%s at byte %,d lies beyond the longest header accepted, %,d bytes"
                  : "%s at byte %,d lies beyond the end of the file, %,d bytes")
              .formatted(what, position, end));
    }
    long at = position;
    position += bytes;
    return at;
  }

  /// The value types of GGUF, by their number, with the bytes that one takes at least.
  private enum ValueType {
    UINT8(1),
    INT8(1),
    UINT16(2),
    INT16(2),
    UINT32(4),
    INT32(4),
    FLOAT32(4),
    BOOL(1),
    STRING(8),
    ARRAY(12),
    UINT64(8),
    INT64(8),
    FLOAT64(8);

    final int leastBytes;

    ValueType(int leastBytes) {
      this.leastBytes = leastBytes;
    }
  }
}
