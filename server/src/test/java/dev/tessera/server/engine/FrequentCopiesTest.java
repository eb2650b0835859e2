package dev.tessera.server.engine;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kvcache.BlockHash;
import org.junit.jupiter.api.Test;

final class FrequentCopiesTest {

  private static BlockHash block(long number) {
    return new BlockHash(number * 0x9E3779B97F4A7C15L, number, ~number, 7);
  }

  @Test
  void whatIsAskedForOftenOutlastsAFloodOfWhatComesOnce() {
    FrequentCopies copies = new FrequentCopies(20);
    for (int round = 0; round < 8; round++) {
      for (int block = 0; block < 10; block++) {
        copies.asked(block(block));
      }
    }
    for (int once = 100; once < 1_000; once++) {
      copies.asked(block(once));
    }
    int kept = 0;
    for (int block = 0; block < 10; block++) {
      kept += copies.keeps(block(block)) ? 1 : 0;
    }
    assertTrue(kept >= 9, kept + " of 10 are left");
    int flood = 0;
    for (int once = 100; once < 1_000; once++) {
      flood += copies.keeps(block(once)) ? 1 : 0;
    }
    assertTrue(flood <= 11, flood + " came in");
  }

  @Test
  void lookingIsNotAsking() {
    FrequentCopies copies = new FrequentCopies(20);
    assertFalse(copies.keeps(block(1)));
    assertFalse(copies.keeps(block(1)));
    copies.asked(block(1));
    assertTrue(copies.keeps(block(1)));
  }
}
