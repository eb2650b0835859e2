package dev.tessera.kernels.testing;

import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.testing.SampleCodes.Ladder;
import dev.tessera.kvcache.CodedFormat.Role;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/// Tiles whose bytes every encoder has to write: the hashes lie in `golden/tiles.txt`, which
/// [#main] prints anew. A change of a hash is a change of the format, and needs a new version of
/// it.
public final class GoldenTiles {

  private static final int POSITION = 64 * 41;

  private GoldenTiles() {}

  /// Writes tiles in some language.
  public interface Encoder {

    /// @param x `[64][headDim]`, exact in half precision
    /// @param tile of zeros
    void encode(TileCode code, float[] x, int firstPosition, MemorySegment tile);

    /// @param target of zeros
    void cut(TileCode from, MemorySegment source, TileCode to, MemorySegment target);
  }

  /// The hash of every golden tile, by the name of its code.
  public static Map<String, String> expected() {
    try (InputStream in = GoldenTiles.class.getResourceAsStream("../golden/tiles.txt")) {
      var hashes = new TreeMap<String, String>();
      new String(Objects.requireNonNull(in).readAllBytes(), StandardCharsets.UTF_8)
          .lines()
          .forEach(line -> hashes.put(line.substring(line.indexOf(' ') + 1), line.split(" ")[0]));
      return hashes;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /// The same as an encoder writes them. The first rung of a ladder is encoded, each other one cut
  /// from the one before.
  public static Map<String, String> hashes(Encoder encoder) {
    var hashes = new TreeMap<String, String>();
    for (int headDim : SampleCodes.HEAD_DIMS) {
      var ladders = new ArrayList<>(SampleCodes.keys(headDim));
      ladders.addAll(SampleCodes.values(headDim));
      for (Ladder ladder : ladders) {
        List<MemorySegment> tiles = tiles(encoder, ladder);
        for (int rung = 0; rung < tiles.size(); rung++) {
          Role role = ladder.codes().getFirst().format().role();
          String name =
              "%s %d %s rung %d"
                  .formatted(role == Role.KEY ? "key" : "value", headDim, ladder.name(), rung);
          hashes.put(name, hash(tiles.get(rung)));
        }
      }
    }
    return hashes;
  }

  private static List<MemorySegment> tiles(Encoder encoder, Ladder ladder) {
    var tiles = new ArrayList<MemorySegment>();
    TileCode previous = null;
    for (TileCode code : ladder.codes()) {
      MemorySegment tile = MemorySegment.ofArray(new byte[(int) code.format().tileBytes()]);
      if (previous == null) {
        encoder.encode(code, input(code), POSITION, tile);
      } else {
        encoder.cut(previous, tiles.getLast(), code, tile);
      }
      tiles.add(tile);
      previous = code;
    }
    return tiles;
  }

  /// What the code expects, and a token each of zeros, of numbers too small for a scale, and far
  /// out.
  private static float[] input(TileCode code) {
    float[] x = SampleCodes.tile(code, POSITION, 2026);
    int headDim = code.format().shape().headDim();
    for (int i = 0; i < headDim; i++) {
      x[3 * headDim + i] = 0;
      x[20 * headDim + i] = (i % 5 - 2) * 0x1p-24f;
      x[45 * headDim + i] *= 128;
    }
    return x;
  }

  private static String hash(MemorySegment tile) {
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256").digest(tile.toArray(ValueLayout.JAVA_BYTE));
      return HexFormat.of().formatHex(hash, 0, 12);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  /// Prints the hashes of the definition.
  public static void main(String[] arguments) {
    hashes(new DefiningEncoder()).forEach((name, hash) -> System.out.println(hash + " " + name));
  }
}
