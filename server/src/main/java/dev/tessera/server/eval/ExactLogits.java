package dev.tessera.server.eval;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/// The logits that everything is compared with, in a file: half a gigabyte for a few thousand rows.
final class ExactLogits implements AutoCloseable {

  private final Arena arena = Arena.ofShared();
  private final Path file;
  private final MemorySegment rows; // [rows][vocabulary]
  private final int vocabulary;

  ExactLogits(long rowCount, int vocabulary) throws IOException {
    this.vocabulary = vocabulary;
    file = Files.createTempFile("tessera-logits", ".f32");
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      long bytes = Math.multiplyExact(rowCount, 4L * vocabulary);
      rows = channel.map(FileChannel.MapMode.READ_WRITE, 0, bytes, arena);
    }
  }

  void put(long row, float[] logits) {
    MemorySegment.copy(logits, 0, rows, ValueLayout.JAVA_FLOAT, row * 4 * vocabulary, vocabulary);
  }

  float[] get(long row) {
    float[] logits = new float[vocabulary];
    MemorySegment.copy(rows, ValueLayout.JAVA_FLOAT, row * 4 * vocabulary, logits, 0, vocabulary);
    return logits;
  }

  @Override
  public void close() throws IOException {
    arena.close();
    Files.delete(file);
  }
}
