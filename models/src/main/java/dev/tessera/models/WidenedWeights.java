package dev.tessera.models;

import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.Dequantizer;
import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.TensorType;
import dev.tessera.kernels.WeightRole;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Weights with every quantised matrix as halves, so that a backend keeps activations in floats.
///
/// With activations of eight bits the least change of a tile tips roundings in every later layer:
/// two caches that hold the same to the last bit but one seem to diverge by thousandths of a nat,
/// and everything below that drowns.
public final class WidenedWeights implements DecoderWeights, AutoCloseable {

  private static final ValueLayout.OfShort HALF =
      ValueLayout.JAVA_SHORT.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final DecoderWeights weights;
  private final Arena arena = Arena.ofShared();
  private final Map<String, Tensor> widened = new HashMap<>();

  public WidenedWeights(DecoderWeights weights) {
    this.weights = weights;
  }

  @Override
  public synchronized @Nullable Tensor tensor(WeightRole role, int layer) {
    Tensor tensor = weights.tensor(role, layer);
    if (tensor == null || isFloat(tensor.type())) {
      return tensor;
    }
    return widened.computeIfAbsent(role + " " + layer, key -> widen(tensor));
  }

  private static boolean isFloat(TensorType type) {
    return type == TensorType.F32 || type == TensorType.F16 || type == TensorType.BF16;
  }

  private Tensor widen(Tensor tensor) {
    int columns = tensor.columns();
    MemorySegment data = arena.allocate(HALF, (long) tensor.rows() * columns);
    var dequantizer = new Dequantizer(tensor);
    var row = new float[columns];
    for (int i = 0; i < tensor.rows(); i++) {
      dequantizer.row(i, row);
      for (int j = 0; j < columns; j++) {
        data.setAtIndex(HALF, (long) i * columns + j, Float.floatToFloat16(row[j]));
      }
    }
    return new Tensor(tensor.name(), TensorType.F16, tensor.rows(), columns, data);
  }

  @Override
  public void close() {
    arena.close();
  }
}
