package dev.tessera.kernels.scalar;

import dev.tessera.kernels.codec.CodedProducts;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.codec.TileCodec;
import dev.tessera.kernels.scalar.CooledTiles.Tile;
import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.ValueLayout;
import java.util.IdentityHashMap;
import org.jspecify.annotations.Nullable;

/// What the roundings of another's products with coded tiles change in the attention of one query:
/// the oracle computes without them, and adds the difference.
final class ProductRounding {

  private static final int TOKENS = TileShape.BLOCK_TOKENS;

  private final CodedProducts products;
  private final double[] query; // [headDim]
  private final IdentityHashMap<Tile, double[]> queryErrors =
      new IdentityHashMap<>(); // in its basis
  private final IdentityHashMap<Tile, Coded> coded = new IdentityHashMap<>();
  private final IdentityHashMap<Tile, Weighed> weighed = new IdentityHashMap<>();

  ProductRounding(CodedProducts products, double[] query) {
    this.products = products;
    this.query = query;
  }

  /// @param weights `[64]`
  private record Weighed(TileCode code, double[] weights) {}

  /// @param channels `[64][headDim]`, before the scales
  private record Coded(double[] channels, double[] scales) {
    static Coded of(Tile tile, TileCode code) {
      int headDim = code.format().shape().headDim();
      var coded = new Coded(new double[TOKENS * headDim], new double[TOKENS]);
      TileCodec.channels(code, tile.bytes(), 0, coded.channels, coded.scales);
      return coded;
    }
  }

  /// The code of a tile whose products are rounded; null for any other.
  private @Nullable TileCode roundedCode(@Nullable Tile tile) {
    return tile == null || products == CodedProducts.SINGLE ? null : tile.code();
  }

  /// What a query's rounding adds to its product with a key.
  ///
  /// @param tile null for an exact one
  double ofScore(@Nullable Tile tile, int position) {
    TileCode code = roundedCode(tile);
    if (tile == null || code == null || isSpared(tile, code.format(), position % TOKENS)) {
      return 0;
    }
    double[] error = queryErrors.computeIfAbsent(tile, t -> queryError(t, code));
    Coded keys = coded.computeIfAbsent(tile, t -> Coded.of(t, code));
    int token = position % TOKENS;
    double sum = 0;
    for (int i = 0; i < error.length; i++) {
      sum += error[i] * keys.channels[token * error.length + i];
    }
    return sum * keys.scales[token];
  }

  private double[] queryError(Tile tile, TileCode code) {
    double[] inBasis = code.basis().query(query);
    double[] units = TileCodec.units(code, tile.bytes(), 0);
    double[] error = products.query(code.format(), inBasis, units);
    for (int i = 0; i < error.length; i++) {
      error[i] -= inBasis[i];
    }
    return error;
  }

  private static boolean isSpared(Tile tile, CodedFormat format, int token) {
    for (int n = 0; n < format.spared(); n++) {
      if (tile.bytes().get(ValueLayout.JAVA_BYTE, format.spareIndexOffset() + n) == token) {
        return true;
      }
    }
    return false;
  }

  /// Takes note of a value's weight.
  ///
  /// @param tile null for an exact one
  void weigh(@Nullable Tile tile, int position, double weight) {
    TileCode code = roundedCode(tile);
    if (tile != null && code != null) {
      weighed.computeIfAbsent(tile, t -> new Weighed(code, new double[TOKENS]))
              .weights[position % TOKENS] =
          weight;
    }
  }

  /// What the roundings of all weights add to the weighted sum of the values, `[headDim]`.
  double[] ofValues() {
    var total = new double[query.length];
    weighed.forEach(
        (tile, of) -> {
          double[] change = of.code.basis().inverse(ofValues(tile, of.code, of.weights));
          for (int i = 0; i < total.length; i++) {
            total[i] += change[i];
          }
        });
    return total;
  }

  private double[] ofValues(Tile tile, TileCode code, double[] weights) {
    Coded values = Coded.of(tile, code);
    var scaled = new double[TOKENS];
    for (int token = 0; token < TOKENS; token++) {
      scaled[token] = weights[token] * values.scales[token];
    }
    var change = new double[query.length];
    CodedFormat format = code.format();
    for (int group = 0; group < format.groups(); group++) {
      double[] read = products.weights(format, group, scaled);
      int first = group * CodedFormat.GROUP_CHANNELS;
      for (int i = first; i < first + format.groupChannels(group); i++) {
        for (int token = 0; token < TOKENS; token++) {
          change[i] += (read[token] - scaled[token]) * values.channels[token * change.length + i];
        }
      }
    }
    return change;
  }
}
