package dev.tessera.models.safetensors;

import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.TensorType;
import dev.tessera.models.JsonFile;
import dev.tessera.models.ModelFormatException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// The tensors of one safetensors file, mapped into memory: eight bytes with the length of a JSON
/// header, the header, and the data, which the tensors cover without gap or overlap.
///
/// @param tensors by name, in the order of their data
/// @param header the header's bytes
record SafetensorsFile(Map<String, Tensor> tensors, byte[] header, long fileBytes) {
  /// Many times the header of the largest files in use.
  private static final long LONGEST_HEADER = 16L << 20;

  private static final int MOST_DIMENSIONS = 8;
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /// Maps a file into the arena and reads its header.
  static SafetensorsFile open(Path path, Arena arena) throws IOException, ModelFormatException {
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      MemorySegment file =
          channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena).asReadOnly();
      return parse(file, String.valueOf(path.getFileName()));
    }
  }

  /// Reads a file that lies in memory already.
  static SafetensorsFile parse(MemorySegment file, String name) throws ModelFormatException {
    long size = file.byteSize();
    if (size < 8) {
      throw new ModelFormatException(
          "%s: %d bytes; expected at least the 8 of the header's length".formatted(name, size));
    }
    long headerBytes = file.get(LONG, 0);
    long most = Math.min(size - 8, LONGEST_HEADER);
    if (headerBytes < 2 || headerBytes > most) {
      throw new ModelFormatException(
          "%s: the header's length is %s; expected 2 to %,d"
              .formatted(name, Long.toUnsignedString(headerBytes), most));
    }
    byte[] header = file.asSlice(8, headerBytes).toArray(ValueLayout.JAVA_BYTE);
    MemorySegment data = file.asSlice(8 + headerBytes);
    List<Entry> entries = new ArrayList<>();
    for (var item : JsonFile.parse(header, name).entrySet()) {
      if (item.getKey().equals("__metadata__")) {
        requireTexts(item.getValue(), name);
      } else {
        entries.add(Entry.of(item.getKey(), item.getValue(), name));
      }
    }
    entries.sort(Comparator.comparingLong(Entry::start).thenComparingLong(Entry::end));
    Map<String, Tensor> tensors = LinkedHashMap.newLinkedHashMap(entries.size());
    long expectedStart = 0;
    for (Entry entry : entries) {
      if (entry.start != expectedStart) {
        throw new ModelFormatException(
            "%s: tensor %s starts at offset %,d; expected %,d, where the one before ends"
                .formatted(name, entry.name, entry.start, expectedStart));
      }
      if (entry.end > data.byteSize()) {
        throw new ModelFormatException(
            "%s: tensor %s ends at byte %,d of the data, which has %,d; is the file complete?"
                .formatted(name, entry.name, entry.end, data.byteSize()));
      }
      tensors.put(entry.name, entry.tensor(data));
      expectedStart = entry.end;
    }
    if (expectedStart != data.byteSize()) {
      throw new ModelFormatException(
          "%s: the data has %,d bytes; the tensors account for %,d"
              .formatted(name, data.byteSize(), expectedStart));
    }
    return new SafetensorsFile(tensors, header, size);
  }

  private static void requireTexts(Object metadata, String name) throws ModelFormatException {
    boolean texts =
        metadata instanceof Map<?, ?> map
            && map.values().stream().allMatch(value -> value instanceof String);
    if (!texts) {
      throw new ModelFormatException(name + ": __metadata__ is not an object of texts");
    }
  }

  /// One tensor of the header; its place is relative to the data.
  private record Entry(String name, TensorType type, int rows, int columns, long start, long end) {

    static Entry of(String tensor, Object value, String file) throws ModelFormatException {
      String where = file + ": tensor " + tensor;
      if (!(value instanceof Map<?, ?> map)
          || map.size() != 3
          || !(map.get("dtype") instanceof String dtype)
          || !(map.get("shape") instanceof List<?> shape)
          || !(map.get("data_offsets") instanceof List<?> offsets)) {
        throw new ModelFormatException(
            where + ": expected dtype, shape and data_offsets, and nothing else");
      }
      TensorType type =
          switch (dtype) {
            case "F32" -> TensorType.F32;
            case "F16" -> TensorType.F16;
            case "BF16" -> TensorType.BF16;
            default ->
                throw new ModelFormatException(
                    "%s has the type %s, which is not supported; supported: F32, F16, BF16"
                        .formatted(where, dtype));
          };
      if (shape.size() > MOST_DIMENSIONS) {
        throw new ModelFormatException(
            "%s has %d dimensions; expected at most %d"
                .formatted(where, shape.size(), MOST_DIMENSIONS));
      }
      if (offsets.size() != 2
          || !(offsets.get(0) instanceof Long start)
          || !(offsets.get(1) instanceof Long end)
          || start < 0
          || end < start) {
        throw new ModelFormatException(
            "%s has the data_offsets %s; expected a start and an end".formatted(where, offsets));
      }
      return of(tensor, type, shape, start, end, where);
    }

    private static Entry of(
        String name, TensorType type, List<?> shape, long start, long end, String where)
        throws ModelFormatException {
      long rows = 1;
      int columns = 1;
      long bytes;
      try {
        for (int i = 0; i < shape.size(); i++) {
          if (!(shape.get(i) instanceof Long extent) || extent < 1) {
            throw new ArithmeticException();
          }
          // The last extent is the one that lies together: the columns.
          if (i == shape.size() - 1) {
            columns = Math.toIntExact(extent);
          } else {
            rows = Math.multiplyExact(rows, extent);
          }
        }
        bytes = Math.multiplyExact(type.rowBytes(columns), Math.toIntExact(rows));
      } catch (ArithmeticException e) {
        throw new ModelFormatException("%s has the impossible shape %s".formatted(where, shape), e);
      }
      if (end - start != bytes) {
        throw new ModelFormatException(
            "%s, %s of shape %s, has %,d bytes; expected %,d"
                .formatted(where, type, shape, end - start, bytes));
      }
      return new Entry(name, type, (int) rows, columns, start, end);
    }

    Tensor tensor(MemorySegment data) {
      return new Tensor(name, type, rows, columns, data.asSlice(start, end - start));
    }
  }
}
