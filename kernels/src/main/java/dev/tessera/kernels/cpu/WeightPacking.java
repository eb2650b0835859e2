package dev.tessera.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.Dequantizer;
import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.WeightRole;
import dev.tessera.kernels.WeightShapes;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.DoubleConsumer;

/// Copies the weights of a model into the order in which the kernels read them: matrices into
/// panels of 32 rows, vectors into floats. Afterwards the model's file is not read again.
final class WeightPacking {

  /// Rows that a worker packs at a time.
  private static final int PIECE_ROWS = 1024;

  private static final int PANEL_ROWS = 32;

  private record Matrix(WeightRole role, int layer, Tensor tensor, long offset) {}

  private record Vector(WeightRole role, int layer, Tensor tensor, long offset) {}

  private record Piece(Matrix matrix, int firstRow, int rows) {}

  private final NativeLibrary library;
  private final NativeDecoder decoder;
  private final List<Matrix> matrices = new ArrayList<>();
  private final List<Vector> vectors = new ArrayList<>();
  private long matrixBytes;
  private long vectorBytes;

  WeightPacking(
      NativeLibrary library, NativeDecoder decoder, DecoderSpec spec, DecoderWeights weights) {
    this.library = library;
    this.decoder = decoder;
    for (WeightRole role : WeightRole.values()) {
      int first = WeightShapes.isLayered(role) ? 0 : DecoderWeights.NO_LAYER;
      int end = WeightShapes.isLayered(role) ? spec.layers().size() : first + 1;
      for (int layer = first; layer < end; layer++) {
        Tensor tensor = weights.tensor(role, layer);
        if (tensor != null) {
          add(role, layer, tensor);
        }
      }
    }
  }

  private void add(WeightRole role, int layer, Tensor tensor) {
    if (isVector(role)) {
      vectors.add(new Vector(role, layer, tensor, vectorBytes));
      vectorBytes += padded(tensor.columns()) * Float.BYTES;
      return;
    }
    long panelBytes = library.panelBytes(tensor.type().ggmlId(), tensor.columns());
    if (panelBytes < 0) {
      throw new IllegalArgumentException(
          "tensor %s (%s) has rows of %d elements, which the native kernels cannot pack"
              .formatted(tensor.name(), tensor.type(), tensor.columns()));
    }
    matrices.add(new Matrix(role, layer, tensor, matrixBytes));
    long panels = Math.ceilDiv(tensor.rows(), PANEL_ROWS);
    matrixBytes = Math.addExact(matrixBytes, Math.multiplyExact(panelBytes, panels));
  }

  private static boolean isVector(WeightRole role) {
    return switch (role) {
      case TOKEN_EMBEDDING, OUTPUT, QUERY, KEY, VALUE, ATTENTION_OUTPUT, GATE, UP, DOWN -> false;
      default -> true;
    };
  }

  private static long padded(int columns) {
    return (columns + PANEL_ROWS - 1L) / PANEL_ROWS * PANEL_ROWS;
  }

  /// Packs everything.
  ///
  /// @return bytes of the packed weights
  long run(WorkerTeam team, DoubleConsumer progress) {
    long panels = decoder.reserve(matrixBytes, "weights");
    var pieces = new ArrayList<Piece>();
    for (Matrix matrix : matrices) {
      Tensor tensor = matrix.tensor;
      decoder.matrix(
          matrix.role,
          matrix.layer,
          tensor.type().ggmlId(),
          tensor.rows(),
          tensor.columns(),
          panels + matrix.offset);
      for (int row = 0; row < tensor.rows(); row += PIECE_ROWS) {
        pieces.add(new Piece(matrix, row, Math.min(PIECE_ROWS, tensor.rows() - row)));
      }
    }
    var next = new AtomicInteger();
    team.run(
        worker -> {
          for (int i; (i = next.getAndIncrement()) < pieces.size(); ) {
            pack(pieces.get(i));
            if (worker == 0) { // the caller: whoever draws the progress is not asked from a worker
              progress.accept((double) Math.min(next.get(), pieces.size()) / pieces.size());
            }
          }
        });
    copyVectors();
    progress.accept(1);
    return matrixBytes + vectorBytes;
  }

  private void pack(Piece piece) {
    Tensor tensor = piece.matrix.tensor;
    long rowBytes = tensor.type().rowBytes(tensor.columns());
    MemorySegment rows = tensor.data().asSlice(piece.firstRow * rowBytes, piece.rows * rowBytes);
    try (Arena arena = Arena.ofConfined()) {
      if (!rows.isNative()) {
        rows = arena.allocate(rows.byteSize()).copyFrom(rows);
      }
      decoder.pack(
          piece.matrix.role, piece.matrix.layer, rows.address(), piece.firstRow, piece.rows);
    }
  }

  private void copyVectors() {
    long base = decoder.reserve(vectorBytes, "norms and biases");
    for (Vector vector : vectors) {
      long at = base + vector.offset;
      float[] values = Dequantizer.all(vector.tensor);
      MemorySegment target =
          MemorySegment.ofAddress(at).reinterpret((long) Float.BYTES * values.length);
      MemorySegment.copy(values, 0, target, JAVA_FLOAT, 0, values.length);
      decoder.vector(vector.role, vector.layer, at);
    }
  }
}
