package dev.tessera.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

final class TileHeaderTest {

  /// Set to write the header instead of comparing it: `mvn -pl kernels -am test
  /// -Dtest=TileHeaderTest -DargLine=-Dtessera.render=true`.
  private static final boolean RENDERS = Boolean.getBoolean("tessera.render");

  @Test
  void theCommittedHeaderSaysWhatTheFormatsSay() throws IOException {
    Path header = Path.of("src/main/native/tile_format.h");
    if (RENDERS) {
      Files.writeString(header, TileHeader.render());
    }
    assertEquals(
        TileHeader.render(),
        Files.readString(header),
        "render it again with -Dtessera.render=true, and count up the format's version if the"
            + " bytes of a tile changed");
  }
}
