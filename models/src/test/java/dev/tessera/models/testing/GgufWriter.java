package dev.tessera.models.testing;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// Writes GGUF files of version 3, little endian.
///
/// Metadata values are [Integer] (as uint32), [Long] (uint64), [Float], [Double], [Boolean],
/// [String] and arrays of them.
public final class GgufWriter {
  private static final int ALIGNMENT = 32;

  private final Map<String, Object> metadata = new LinkedHashMap<>();
  private final List<Entry> tensors = new ArrayList<>();

  private record Entry(String name, int ggmlType, long[] shape, byte[] data) {}

  public GgufWriter put(String key, Object value) {
    metadata.put(key, value);
    return this;
  }

  /// Adds a tensor; the first extent is that of a row.
  public GgufWriter tensor(String name, int ggmlType, byte[] data, long... shape) {
    tensors.add(new Entry(name, ggmlType, shape, data));
    return this;
  }

  public byte[] bytes() {
    var out = new LittleEndian();
    out.putInt(0x46554747).putInt(3).putLong(tensors.size()).putLong(metadata.size());
    metadata.forEach((key, value) -> out.putString(key).putValue(value));
    long offset = 0;
    for (Entry tensor : tensors) {
      out.putString(tensor.name).putInt(tensor.shape.length);
      for (long extent : tensor.shape) {
        out.putLong(extent);
      }
      out.putInt(tensor.ggmlType).putLong(offset);
      offset += tensor.data.length + padding(tensor.data.length);
    }
    for (Entry tensor : tensors) {
      out.pad(padding(out.size())).putBytes(tensor.data);
    }
    return out.bytes();
  }

  private static int padding(long size) {
    return (int) (-size & ALIGNMENT - 1);
  }

  /// A growing buffer of little-endian values.
  public static final class LittleEndian {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    public LittleEndian putInt(int value) {
      return putBytes(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(value).array());
    }

    public LittleEndian putLong(long value) {
      return putBytes(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array());
    }

    public LittleEndian putString(String text) {
      byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
      return putLong(bytes.length).putBytes(bytes);
    }

    public LittleEndian putBytes(byte... bytes) {
      out.writeBytes(bytes);
      return this;
    }

    public LittleEndian pad(int bytes) {
      return putBytes(new byte[bytes]);
    }

    public int size() {
      return out.size();
    }

    public byte[] bytes() {
      return out.toByteArray();
    }

    LittleEndian putValue(Object value) {
      return switch (value) {
        case Integer integer -> putInt(4).putInt(integer);
        case Long integer -> putInt(10).putLong(integer);
        case Float number -> putInt(6).putInt(Float.floatToRawIntBits(number));
        case Boolean bool -> putInt(7).putBytes((byte) (bool ? 1 : 0));
        case String text -> putInt(8).putString(text);
        case String[] texts -> {
          putInt(9).putInt(8).putLong(texts.length);
          for (String text : texts) {
            putString(text);
          }
          yield this;
        }
        case float[] numbers -> {
          putInt(9).putInt(6).putLong(numbers.length);
          for (float number : numbers) {
            putInt(Float.floatToRawIntBits(number));
          }
          yield this;
        }
        case Double number -> putInt(12).putLong(Double.doubleToRawLongBits(number));
        case double[] numbers -> {
          putInt(9).putInt(12).putLong(numbers.length);
          for (double number : numbers) {
            putLong(Double.doubleToRawLongBits(number));
          }
          yield this;
        }
        case long[] integers -> {
          putInt(9).putInt(11).putLong(integers.length);
          for (long integer : integers) {
            putLong(integer);
          }
          yield this;
        }
        case boolean[] flags -> {
          putInt(9).putInt(7).putLong(flags.length);
          for (boolean flag : flags) {
            putBytes((byte) (flag ? 1 : 0));
          }
          yield this;
        }
        case int[] integers -> {
          putInt(9).putInt(5).putLong(integers.length);
          for (int integer : integers) {
            putInt(integer);
          }
          yield this;
        }
        default -> throw new IllegalArgumentException("no GGUF type for " + value.getClass());
      };
    }
  }
}
