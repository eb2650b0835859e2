package dev.tessera.kvcache;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import java.util.zip.CRC32C;

/// A file that holds the bytes of one slab and says which.
///
/// | offset | bytes | what, little endian                            |
/// |--------|-------|------------------------------------------------|
/// | 0      | 8     | `TESSERA1`                                     |
/// | 8      | 4     | layer group                                    |
/// | 12     | 4     | form                                           |
/// | 16     | 8     | bytes of the slab                              |
/// | 24     | 32    | hash of the block                              |
/// | 56     | 4     | CRC-32C of what comes before and of the slab   |
/// | 60     | 4     | 0                                              |
/// | 64     |       | the slab                                       |
final class SlabFile {
  static final int HEADER_BYTES = 64;

  private static final byte[] MAGIC = {'T', 'E', 'S', 'S', 'E', 'R', 'A', '1'};
  private static final int CHECKSUM_AT = 56;

  private SlabFile() {}

  /// Attributes of what only its user may read.
  static FileAttribute<?>[] privately(String permissions) {
    return FileSystems.getDefault().supportedFileAttributeViews().contains("posix")
        ? new FileAttribute<?>[] {
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(permissions))
        }
        : new FileAttribute<?>[0];
  }

  /// Writes a slab so that the file is there whole or not at all.
  ///
  /// @param part a path beside it, for the time until it is whole
  static void write(Path path, Path part, SlabKey key, MemorySegment slab) throws IOException {
    ByteBuffer bytes = slab.asByteBuffer();
    ByteBuffer header = header(key, slab.byteSize());
    header.putInt(CHECKSUM_AT, checksum(header, bytes.duplicate()));
    Files.deleteIfExists(part);
    try (FileChannel channel =
        FileChannel.open(
            part,
            Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
            privately("rw-------"))) {
      writeAll(channel, header.rewind());
      writeAll(channel, bytes);
    } catch (IOException e) {
      Files.deleteIfExists(part);
      throw e;
    }
    Files.move(part, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  private static void writeAll(FileChannel channel, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  /// Reads a slab.
  ///
  /// @param slab receives it
  /// @throws IOException if the file cannot be read or is not what [#write] has written
  static void read(Path path, SlabKey key, MemorySegment slab) throws IOException {
    ByteBuffer bytes = slab.asByteBuffer();
    ByteBuffer found = ByteBuffer.allocate(HEADER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      long size = HEADER_BYTES + slab.byteSize();
      if (channel.size() != size) {
        throw new IOException(
            "%s has %,d bytes, expected %,d".formatted(path, channel.size(), size));
      }
      readAll(channel, found, path);
      readAll(channel, bytes, path);
    }
    ByteBuffer expected = header(key, slab.byteSize());
    expected.putInt(CHECKSUM_AT, checksum(expected, bytes.rewind()));
    if (!expected.rewind().equals(found.rewind())) {
      boolean isOther = expected.slice(0, CHECKSUM_AT).mismatch(found.slice(0, CHECKSUM_AT)) >= 0;
      throw new IOException(
          path + (isOther ? " holds something else" : " does not have its checksum"));
    }
  }

  private static void readAll(FileChannel channel, ByteBuffer bytes, Path path) throws IOException {
    while (bytes.hasRemaining()) {
      if (channel.read(bytes) < 0) {
        throw new EOFException(path + " ends early");
      }
    }
  }

  private static ByteBuffer header(SlabKey key, long slabBytes) {
    return ByteBuffer.allocate(HEADER_BYTES)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put(MAGIC)
        .putInt(key.group())
        .putInt(key.form())
        .putLong(slabBytes)
        .put(key.block().bytes());
  }

  private static int checksum(ByteBuffer header, ByteBuffer slab) {
    CRC32C checksum = new CRC32C();
    checksum.update(header.slice(0, CHECKSUM_AT));
    checksum.update(slab);
    return (int) checksum.getValue();
  }
}
