package dev.tessera.server.eval;

import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/// The logits that everything is compared with, in a file: half a gigabyte for a few thousand rows.
/// Safe for several threads.
final class ExactLogits implements AutoCloseable {

  private final Path file;
  private final FileChannel channel; // [rows][vocabulary], floats
  private final int rowBytes;

  ExactLogits(int vocabulary) throws IOException {
    file = Files.createTempFile("tessera-logits", ".f32");
    channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE);
    rowBytes = Float.BYTES * vocabulary;
  }

  private ByteBuffer newRow() {
    return ByteBuffer.allocate(rowBytes).order(ByteOrder.nativeOrder());
  }

  void put(long index, float[] logits) {
    ByteBuffer row = newRow();
    row.asFloatBuffer().put(logits);
    try {
      long at = index * rowBytes;
      while (row.hasRemaining()) {
        at += channel.write(row, at);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(file + " cannot be written", e);
    }
  }

  float[] get(long index) {
    ByteBuffer row = newRow();
    try {
      long at = index * rowBytes;
      while (row.hasRemaining()) {
        int count = channel.read(row, at);
        if (count < 0) {
          throw new EOFException("row " + index + " was never put");
        }
        at += count;
      }
    } catch (IOException e) {
      throw new UncheckedIOException(file + " cannot be read", e);
    }
    float[] logits = new float[rowBytes / Float.BYTES];
    row.flip().asFloatBuffer().get(logits);
    return logits;
  }

  @Override
  public void close() throws IOException {
    channel.close();
    Files.delete(file);
  }
}
