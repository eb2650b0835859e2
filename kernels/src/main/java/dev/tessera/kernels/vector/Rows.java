package dev.tessera.kernels.vector;

/// A table of activations, `[rows][stride]`: the width rounded up to whole blocks, zero beyond it.
final class Rows {

  private final int stride;
  private float[] x;

  Rows(int rows, int width) {
    this.stride = stride(width);
    this.x = new float[Math.multiplyExact(rows, stride)];
  }

  static int stride(int width) {
    return Math.ceilDiv(width, PackedMatrix.SIDE) * PackedMatrix.SIDE;
  }

  int stride() {
    return stride;
  }

  /// Index of a row's first element.
  int at(int row) {
    return row * stride;
  }

  float[] x() {
    return x;
  }

  long bytes() {
    return (long) Float.BYTES * x.length;
  }

  /// Makes room for more rows; what was there is lost.
  void reserve(int rows) {
    if (Math.multiplyExact(rows, stride) > x.length) {
      x = new float[rows * stride];
    }
  }
}
