package dev.tessera.kvcache;

/// The logical shape of a tile: `[tokens][headDim]` elements, whatever the order of its bytes.
///
/// @param tokens token positions in a tile; equal to [#BLOCK_TOKENS] in every block
/// @param headDim elements of one key or value vector; a multiple of 8 from 8 to 256
public record TileShape(int tokens, int headDim) {

  /// Token positions in a block, and so in each of its tiles.
  public static final int BLOCK_TOKENS = 64;

  public TileShape {
    if (tokens != BLOCK_TOKENS) {
      throw new IllegalArgumentException("a tile has " + BLOCK_TOKENS + " tokens, not " + tokens);
    }
    if (headDim < 8 || headDim > 256 || headDim % 8 != 0) {
      throw new IllegalArgumentException(
          "head dimension must be a multiple of 8 from 8 to 256, is " + headDim);
    }
  }

  /// The shape of every tile of a model whose heads have `headDim` elements.
  public static TileShape of(int headDim) {
    return new TileShape(BLOCK_TOKENS, headDim);
  }

  /// Elements of a tile.
  public int elements() {
    return tokens * headDim;
  }
}
