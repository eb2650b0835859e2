package dev.tessera.kernels.codec;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.tessera.kernels.cpu.NativeEncoder;
import dev.tessera.kernels.testing.DefiningEncoder;
import dev.tessera.kernels.testing.GoldenTiles;
import dev.tessera.kernels.testing.GoldenTiles.Encoder;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Every encoder writes the same bytes.
final class GoldenTilesTest {

  static Stream<Encoder> encoders() {
    return Stream.concat(Stream.of(new DefiningEncoder()), NativeEncoder.all().stream());
  }

  @ParameterizedTest
  @MethodSource("encoders")
  void writesTheGoldenTiles(Encoder encoder) {
    assertEquals(lines(GoldenTiles.expected()), lines(GoldenTiles.hashes(encoder)));
  }

  private static String lines(Map<String, String> hashes) {
    var lines = new StringBuilder();
    hashes.forEach((name, hash) -> lines.append(hash).append(' ').append(name).append('\n'));
    return lines.toString();
  }
}
