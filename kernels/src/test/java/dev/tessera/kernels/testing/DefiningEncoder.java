package dev.tessera.kernels.testing;

import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.codec.TileCodec;
import java.lang.foreign.MemorySegment;

/// The executable definition as an encoder of golden tiles.
public final class DefiningEncoder implements GoldenTiles.Encoder {

  @Override
  public void encode(TileCode code, float[] x, int firstPosition, MemorySegment tile) {
    TileCodec.encode(code, x, firstPosition, tile, 0);
  }

  @Override
  public void cut(TileCode from, MemorySegment source, TileCode to, MemorySegment target) {
    TileCodec.cut(from, source, 0, to, target, 0);
  }

  @Override
  public String toString() {
    return "definition";
  }
}
