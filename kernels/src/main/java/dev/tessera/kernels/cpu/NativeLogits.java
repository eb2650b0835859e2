package dev.tessera.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.tessera.kernels.cpu.NativeLibrary.Kernels;
import dev.tessera.kernels.sampling.LogitsRow;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// A row of logits in C memory, with the passes over it in C. One worker's: it owns scratch memory.
final class NativeLogits implements LogitsRow {

  private final Kernels kernels;
  private final int size;
  private final MemorySegment indices; // [size]
  private final MemorySegment sums; // [ceil(size / CHUNK)]
  private MemorySegment row = MemorySegment.NULL;

  NativeLogits(Kernels kernels, int vocabulary, Arena arena) {
    this.kernels = kernels;
    this.size = vocabulary;
    this.indices = arena.allocate(JAVA_INT, vocabulary);
    this.sums = arena.allocate(JAVA_DOUBLE, Math.ceilDiv(vocabulary, CHUNK));
  }

  /// Bytes of scratch that each worker needs.
  static long scratchBytes(int vocabulary) {
    return 4L * vocabulary + 8L * Math.ceilDiv(vocabulary, CHUNK);
  }

  /// Looks at another row.
  NativeLogits at(long address) {
    row = MemorySegment.ofAddress(address).reinterpret((long) Float.BYTES * size);
    return this;
  }

  void copyTo(float[] destination) {
    MemorySegment.copy(row, JAVA_FLOAT, 0, destination, 0, size);
  }

  @Override
  public int size() {
    return size;
  }

  @Override
  public float get(int token) {
    return row.getAtIndex(JAVA_FLOAT, token);
  }

  @Override
  public void set(int token, float logit) {
    row.setAtIndex(JAVA_FLOAT, token, logit);
  }

  @Override
  public int argMax() {
    return kernels.argMax(row.address(), size);
  }

  @Override
  public void sumWeights(float max, double temperature, double[] sums) {
    kernels.sumWeights(row.address(), size, max, temperature, CHUNK, this.sums.address());
    MemorySegment.copy(this.sums, JAVA_DOUBLE, 0, sums, 0, Math.ceilDiv(size, CHUNK));
  }

  @Override
  public int countAbove(float logit) {
    return kernels.countAbove(row.address(), size, logit);
  }

  @Override
  public int collect(float threshold, int[] tokens) {
    int count = kernels.collect(row.address(), size, threshold, indices.address());
    MemorySegment.copy(indices, JAVA_INT, 0, tokens, 0, count);
    return count;
  }
}
