package dev.tessera.server.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/// The cache's budget counts everything that comes on top of the weights.
final class MemoryPlanTest {
  private static final long MIB = 1 << 20;

  @Test
  void tilesGetWhatScratchAndTablesLeave() {
    for (int groups = 1; groups <= 3; groups++) {
      for (long budget : new long[] {64 * MIB, 100 * MIB + 1, 4096 * MIB}) {
        MemoryPlan plan = MemoryPlan.of(budget, 90 * MIB, 50 * MIB, 3 * MIB, MIB, groups, 4096);
        assertEquals(
            budget, plan.scratchBytes() + plan.codeBytes() + plan.tableBytes() + plan.tileBytes());
        long blocks = plan.tileBytes() / MIB;
        assertTrue(
            plan.tableBytes() >= blocks * groups * MemoryPlan.RECORD_BYTES + MIB,
            "a record for every block that fits, and for every slab on disk: " + plan);
        assertEquals(3 * MIB, plan.codeBytes());
        assertEquals(90 * MIB, plan.weightBytes());
      }
    }
  }

  @Test
  void aBudgetWithoutRoomForABlockNamesTheTermsAndTheKey() {
    var failure =
        assertThrows(
            IllegalArgumentException.class,
            () -> MemoryPlan.of(51 * MIB + MIB / 2, 0, 50 * MIB, MIB, MIB, 1, 16));
    assertEquals(
        "54,001,664 bytes of KV-cache, of which the scratch of a step takes 52,428,800, what tiles"
            + " are coded with 1,048,576 and the names of what is on disk 4,096, hold no block of"
            + " this model, which takes 1,048,576 (kv-cache.memory)",
        failure.getMessage());
    assertThrows(IllegalArgumentException.class, () -> MemoryPlan.of(1, 0, 2, 0, 1, 1, 0));
  }
}
