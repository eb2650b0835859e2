package dev.tessera.kvcache;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;

/// A tile whose elements are stored as they were computed, in one of two orders.
///
/// | arrangement   | shape of the elements       | made for                                       |
/// |---------------|-----------------------------|------------------------------------------------|
/// | `TOKEN_MAJOR` | `[tokens][headDim]`         | values: weighted sums along the tokens         |
/// | `LANES_16`    | `[tokens/16][headDim][16]`  | keys: a SIMD lane per position, no lane sums   |
public record ExactFormat(ElementType element, Arrangement arrangement, TileShape shape)
    implements TileFormat {

  /// The order of the elements of a tile.
  public enum Arrangement {
    TOKEN_MAJOR,
    LANES_16
  }

  @Override
  public String name() {
    return "exact-" + element.name().toLowerCase(java.util.Locale.ROOT);
  }

  @Override
  public int version() {
    return 1;
  }

  @Override
  public StructLayout layout() {
    ValueLayout value =
        switch (element) {
          case F32 -> ValueLayout.JAVA_FLOAT;
          case F16, BF16 -> ValueLayout.JAVA_SHORT;
        };
    MemoryLayout elements =
        switch (arrangement) {
          case TOKEN_MAJOR ->
              MemoryLayout.sequenceLayout(
                  shape.tokens(), MemoryLayout.sequenceLayout(shape.headDim(), value));
          case LANES_16 ->
              MemoryLayout.sequenceLayout(
                  shape.tokens() / 16,
                  MemoryLayout.sequenceLayout(
                      shape.headDim(), MemoryLayout.sequenceLayout(16, value)));
        };
    return MemoryLayout.structLayout(elements.withName("elements"));
  }

  // Asked for every tile of every step; building the layout anew each time would be seen.
  @Override
  public long tileBytes() {
    return (long) shape.elements() * element.bytes();
  }

  /// The index of an element in the tile, in elements.
  public int index(int token, int dimension) {
    return switch (arrangement) {
      case TOKEN_MAJOR -> token * shape.headDim() + dimension;
      case LANES_16 -> ((token >> 4) * shape.headDim() + dimension) * 16 + (token & 15);
    };
  }
}
