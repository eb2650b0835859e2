package dev.tessera.server.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.tessera.kernels.Backend;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

final class BuildHashTest {

  @Test
  void standsForTheCodeThatRuns() {
    byte[] hash = BuildHash.of(Backend.class);
    assertEquals(32, hash.length);
    assertArrayEquals(hash, BuildHash.of(Backend.class));
    assertFalse(Arrays.equals(hash, BuildHash.of(Main.class)), "another module");
    assertThrows(IllegalStateException.class, () -> BuildHash.of(String.class));
  }
}
