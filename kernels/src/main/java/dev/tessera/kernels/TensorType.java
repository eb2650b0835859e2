package dev.tessera.kernels;

/// How the elements of a weight tensor are stored, as GGUF defines it.
///
/// Rows are stored one behind the other; a row is a whole number of blocks.
public enum TensorType {
  F32(0, 1, 4),
  F16(1, 1, 2),
  Q4_0(2, 32, 18),
  Q4_1(3, 32, 20),
  Q5_0(6, 32, 22),
  Q5_1(7, 32, 24),
  Q8_0(8, 32, 34),
  Q4_K(12, 256, 144),
  Q5_K(13, 256, 176),
  Q6_K(14, 256, 210),
  BF16(30, 1, 2);

  private final int ggmlId;
  private final int blockElements;
  private final int blockBytes;

  TensorType(int ggmlId, int blockElements, int blockBytes) {
    this.ggmlId = ggmlId;
    this.blockElements = blockElements;
    this.blockBytes = blockBytes;
  }

  /// The number of this type in a GGUF file.
  public int ggmlId() {
    return ggmlId;
  }

  /// Elements that share one block.
  public int blockElements() {
    return blockElements;
  }

  /// Bytes of one block.
  public int blockBytes() {
    return blockBytes;
  }

  /// Bytes of one row.
  ///
  /// @throws IllegalArgumentException if a row is not a whole number of blocks
  public long rowBytes(long columns) {
    if (columns % blockElements != 0) {
      throw new IllegalArgumentException(
          "a row of "
              + columns
              + " elements is not a multiple of "
              + blockElements
              + " ("
              + this
              + ")");
    }
    return columns / blockElements * blockBytes;
  }
}
