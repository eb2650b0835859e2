package dev.tessera.models.gguf;

import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.TensorType;
import dev.tessera.models.ModelFormatException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/// A GGUF file of version 2 or 3, mapped into memory.
///
/// The file is not trusted: every offset, count and length is checked, without overflow, before it
/// is used. What has been opened has tensors that lie inside the file, aligned, without overlap,
/// and no name twice. Closing unmaps the tensors; the metadata stays usable.
public final class GgufFile implements AutoCloseable {
  private static final int MAGIC = 0x46554747;
  private static final int MOST_DIMENSIONS = 4;
  private static final int DEFAULT_ALIGNMENT = 32;
  private static final int LARGEST_ALIGNMENT = 4096;
  private static final int LONGEST_NAME = 65_535;

  private static final int LEAST_ENTRY_BYTES = 8 + 4 + 1;
  private static final int LEAST_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8;

  private final int version;
  private final long fileBytes;
  private final Metadata metadata;
  private final Map<String, Tensor> tensors;
  private final byte[] header;
  private final Runnable unmap;

  private GgufFile(
      int version,
      long fileBytes,
      Metadata metadata,
      Map<String, Tensor> tensors,
      byte[] header,
      Runnable unmap) {
    this.version = version;
    this.fileBytes = fileBytes;
    this.metadata = metadata;
    this.tensors = Collections.unmodifiableMap(tensors);
    this.header = header;
    this.unmap = unmap;
  }

  /// Maps a file and reads its header.
  ///
  /// @throws IOException if the file cannot be read
  /// @throws ModelFormatException if it is not a GGUF file, damaged, or holds tensors of a type
  ///   that is not supported
  public static GgufFile open(Path path) throws IOException, ModelFormatException {
    Arena arena = Arena.ofShared();
    boolean opened = false;
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      MemorySegment file =
          channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena).asReadOnly();
      GgufFile gguf = parse(file, String.valueOf(path.getFileName()), arena);
      opened = true;
      return gguf;
    } finally {
      if (!opened) {
        arena.close();
      }
    }
  }

  /// Reads a file that lies in memory already.
  static GgufFile parse(MemorySegment file, String fileName, @Nullable Arena arena)
      throws ModelFormatException {
    var reader = new HeaderReader(file, fileName);
    int version = readVersion(reader);
    int tensorCount = reader.readCount("the tensor count", LEAST_TENSOR_BYTES);
    int entryCount = reader.readCount("the metadata count", LEAST_ENTRY_BYTES);
    Metadata metadata = readMetadata(reader, entryCount);
    List<Entry> table = readTensorTable(reader, tensorCount);
    Map<String, Tensor> tensors = locate(reader, table, metadata, file);
    byte[] header = file.asSlice(0, reader.position()).toArray(ValueLayout.JAVA_BYTE);
    Runnable unmap = arena == null ? () -> {} : arena::close;
    return new GgufFile(version, file.byteSize(), metadata, tensors, header, unmap);
  }

  /// Parts of a model as one file: with the metadata of the first, the headers of all one behind
  /// the other, and these tensors.
  static GgufFile joined(List<GgufFile> parts, Map<String, Tensor> tensors) {
    var headers = new ByteArrayOutputStream();
    parts.forEach(part -> headers.writeBytes(part.header));
    return new GgufFile(
        parts.getFirst().version,
        parts.stream().mapToLong(GgufFile::fileBytes).sum(),
        parts.getFirst().metadata,
        tensors,
        headers.toByteArray(),
        () -> parts.forEach(GgufFile::close));
  }

  private static int readVersion(HeaderReader reader) throws ModelFormatException {
    int magic = reader.readInt("the file's magic");
    if (magic != MAGIC) {
      throw reader.refuse(
          "not a GGUF file: it starts with %08x; expected %08x (\"GGUF\")"
              .formatted(Integer.reverseBytes(magic), Integer.reverseBytes(MAGIC)));
    }
    int version = reader.readInt("the file's version");
    if (version == 2 || version == 3) {
      return version;
    }
    int swapped = Integer.reverseBytes(version);
    throw reader.refuse(
        (swapped == 2 || swapped == 3
                ? "GGUF version %2$d in big-endian order; expected little-endian order"
                : "GGUF version %1$s; expected 2 or 3")
            .formatted(Integer.toUnsignedString(version), swapped));
  }

  private static Metadata readMetadata(HeaderReader reader, int count) throws ModelFormatException {
    Map<String, Object> values = new LinkedHashMap<>();
    for (int i = 0; i < count; i++) {
      String key = reader.readString("metadata key " + i, LONGEST_NAME);
      if (values.containsKey(key)) {
        throw reader.refuse("metadata key %s is there twice".formatted(key));
      }
      values.put(key, reader.readValue("metadata key " + key));
    }
    return new Metadata(values);
  }

  /// One line of the tensor table: the place is relative to the data section.
  private record Entry(String name, TensorType type, int rows, int columns, long start, long end) {}

  private static List<Entry> readTensorTable(HeaderReader reader, int count)
      throws ModelFormatException {
    List<Entry> table = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      table.add(readEntry(reader, reader.readString("the name of tensor " + i, LONGEST_NAME)));
    }
    return table;
  }

  private static Entry readEntry(HeaderReader reader, String name) throws ModelFormatException {
    int dimensions = reader.readInt("the shape of tensor " + name);
    if (dimensions < 1 || dimensions > MOST_DIMENSIONS) {
      throw reader.refuse(
          "tensor %s has %s dimensions; expected 1 to %d"
              .formatted(name, Integer.toUnsignedString(dimensions), MOST_DIMENSIONS));
    }
    long[] shape = new long[dimensions];
    for (int i = 0; i < dimensions; i++) {
      shape[i] = reader.readLong("the shape of tensor " + name);
    }
    TensorType type = readTensorType(reader, name);
    long start = reader.readLong("the offset of tensor " + name);
    try {
      // The first extent of a GGUF shape is the one that lies together: the columns.
      int columns = Math.toIntExact(shape[0]);
      long rows = 1;
      for (int i = 1; i < dimensions; i++) {
        rows = Math.multiplyExact(rows, requirePositive(shape[i]));
      }
      long rowBytes = type.rowBytes(requirePositive(columns));
      long bytes = Math.multiplyExact(rowBytes, Math.toIntExact(rows));
      if (start < 0) {
        throw new ArithmeticException();
      }
      return new Entry(name, type, (int) rows, columns, start, Math.addExact(start, bytes));
    } catch (ArithmeticException e) {
      throw reader.refuse(
          "tensor %s has the impossible shape %s at offset %s"
              .formatted(name, describe(shape), Long.toUnsignedString(start)));
    } catch (IllegalArgumentException e) {
      throw reader.refuse(
          "tensor %s, shape %s: %s"
              .formatted(name, describe(shape), String.valueOf(e.getMessage())));
    }
  }

  private static long requirePositive(long extent) {
    if (extent < 1) {
      throw new ArithmeticException();
    }
    return extent;
  }

  private static String describe(long[] shape) {
    return Arrays.stream(shape).mapToObj(Long::toUnsignedString).collect(Collectors.joining(" x "));
  }

  private static TensorType readTensorType(HeaderReader reader, String name)
      throws ModelFormatException {
    int id = reader.readInt("the type of tensor " + name);
    for (TensorType type : TensorType.values()) {
      if (type.ggmlId() == id) {
        return type;
      }
    }
    throw reader.refuse(
        "tensor %s has the type %s, which is not supported; supported: %s"
            .formatted(
                name,
                ForeignTypes.name(id),
                Arrays.stream(TensorType.values())
                    .map(Enum::name)
                    .collect(Collectors.joining(", "))));
  }

  private static Map<String, Tensor> locate(
      HeaderReader reader, List<Entry> table, Metadata metadata, MemorySegment file)
      throws ModelFormatException {
    Map<String, Tensor> tensors = LinkedHashMap.newLinkedHashMap(table.size());
    if (table.isEmpty()) {
      return tensors;
    }
    long alignment = alignment(reader, metadata);
    long dataStart = (reader.position() + alignment - 1) & -alignment;
    long dataBytes = file.byteSize() - dataStart;
    for (Entry entry : table) {
      if (entry.start % alignment != 0) {
        throw reader.refuse(
            "tensor %s lies at offset %,d, which is not a multiple of the alignment %d"
                .formatted(entry.name, entry.start, alignment));
      }
      if (entry.end > dataBytes) {
        throw reader.refuse(
            "tensor %s ends at byte %,d of the data, which has %,d bytes; is the file complete?"
                .formatted(entry.name, entry.end, Math.max(0, dataBytes)));
      }
      MemorySegment data = file.asSlice(dataStart + entry.start, entry.end - entry.start);
      var tensor = new Tensor(entry.name, entry.type, entry.rows, entry.columns, data);
      if (tensors.put(entry.name, tensor) != null) {
        throw reader.refuse("tensor %s is there twice".formatted(entry.name));
      }
    }
    refuseOverlap(reader, table);
    return tensors;
  }

  private static long alignment(HeaderReader reader, Metadata metadata)
      throws ModelFormatException {
    Long given = metadata.get("general.alignment", Long.class);
    long alignment = given == null ? DEFAULT_ALIGNMENT : given;
    if (alignment < 1 || alignment > LARGEST_ALIGNMENT || Long.bitCount(alignment) != 1) {
      throw reader.refuse(
          "general.alignment is %s; expected a power of two up to %,d"
              .formatted(Long.toUnsignedString(alignment), LARGEST_ALIGNMENT));
    }
    return alignment;
  }

  private static void refuseOverlap(HeaderReader reader, List<Entry> table)
      throws ModelFormatException {
    List<Entry> byPlace = new ArrayList<>(table);
    byPlace.sort(Comparator.comparingLong(Entry::start));
    for (int i = 1; i < byPlace.size(); i++) {
      Entry before = byPlace.get(i - 1);
      Entry entry = byPlace.get(i);
      if (entry.start < before.end) {
        throw reader.refuse(
            "tensor %s starts at offset %,d, inside tensor %s, which ends at %,d"
                .formatted(entry.name, entry.start, before.name, before.end));
      }
    }
  }

  public int version() {
    return version;
  }

  public long fileBytes() {
    return fileBytes;
  }

  public Metadata metadata() {
    return metadata;
  }

  /// The tensors by name, in the order of the file. One with more than two dimensions has all but
  /// the first as its rows.
  public Map<String, Tensor> tensors() {
    return tensors;
  }

  /// The bytes before the tensors' data: metadata and tensor table, as they lie in the file.
  public byte[] header() {
    return header.clone();
  }

  @Override
  public void close() {
    unmap.run();
  }
}
