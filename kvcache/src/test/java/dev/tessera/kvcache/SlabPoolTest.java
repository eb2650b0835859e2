package dev.tessera.kvcache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class SlabPoolTest {
  private final List<Integer> discarded = new ArrayList<>();

  @Test
  void takesTheLowestFreeSlab() {
    var pool = new SlabPool(10, 1, new MemoryBudget(10), discarded::add);
    for (int i = 0; i < 4; i++) {
      assertEquals(i, pool.allocate());
    }
    pool.free(2);
    pool.free(1);
    assertEquals(1, pool.allocate());
    assertEquals(2, pool.allocate());
    assertEquals(4, pool.allocate());
  }

  @Test
  void takesMemoryThatIsThereBeforeNewMemory() {
    var budget = new MemoryBudget(10);
    var pool = new SlabPool(10, 1, budget, discarded::add);
    for (int i = 0; i < 4; i++) {
      pool.allocate();
    }
    pool.free(0);
    assertTrue(pool.discardSpare());
    pool.free(3);
    assertEquals(List.of(0), discarded);
    assertEquals(3, budget.residentBytes());
    assertEquals(3, pool.allocate());
    assertEquals(0, pool.allocate());
  }

  @Test
  void isLimitedByIdsAndByTheBudget() {
    var budget = new MemoryBudget(25);
    var wide = new SlabPool(100, 10, budget, discarded::add);
    assertEquals(0, wide.allocate());
    assertEquals(1, wide.allocate());
    assertEquals(SlabPool.NONE, wide.allocate());
    var narrow = new SlabPool(1, 1, budget, discarded::add);
    assertEquals(0, narrow.allocate());
    assertEquals(SlabPool.NONE, narrow.allocate());
    assertEquals(21, budget.usedBytes());
  }

  @Test
  void noticesAFreeTooMany() {
    var pool = new SlabPool(1, 1, new MemoryBudget(1), discarded::add);
    assertThrows(IllegalStateException.class, () -> pool.free(0));
    pool.free(pool.allocate());
    assertThrows(IllegalStateException.class, () -> pool.free(0));
  }

  @Test
  void poolsShareTheBudgetAndGiveMemoryBackToEachOther() {
    var budget = new MemoryBudget(8);
    var discards = new ArrayList<String>();
    var pool =
        new BlockPool(
            new long[][] {{2}, {4}}, budget, (g, f, s) -> discards.add(g + "/" + f + "/" + s));
    var small = new ArrayList<Block>();
    for (int i = 0; i < 4; i++) {
      small.add(pool.allocate(0, i, BlockRef.EXACT));
    }
    assertNull(pool.allocate(0, 4, BlockRef.EXACT));
    assertNull(pool.allocate(1, 0, BlockRef.EXACT));
    pool.free(small.get(1));
    pool.free(small.get(3));
    assertTrue(discards.isEmpty());
    assertNotNull(pool.allocate(1, 0, BlockRef.EXACT));
    assertEquals(List.of("0/0/3", "0/0/1"), discards);
    assertEquals(8, budget.residentBytes());
  }

  @Test
  void aBlockExistsInSeveralFormsWithReferencesOfTheirOwn() {
    var budget = new MemoryBudget(100);
    var pool = new BlockPool(new long[][] {{10, 3}}, budget, (g, f, s) -> {});
    Block block = pool.allocate(0, 0, BlockRef.EXACT);
    assertNotNull(block);
    assertTrue(pool.addForm(block, 1));
    assertEquals(13, budget.usedBytes());
    pool.retain(block, 0);
    pool.retain(block, 1);
    pool.retain(block, 1);
    assertEquals(13, pool.referencedBytes());
    assertEquals(1, pool.referencedBlocks());
    assertThrows(IllegalStateException.class, () -> pool.dropForm(block, 0));
    assertFalse(pool.release(block, 0));
    pool.dropForm(block, 0);
    assertEquals(3, budget.usedBytes());
    assertEquals(3, pool.referencedBytes());
    assertThrows(IllegalStateException.class, () -> pool.retain(block, 0));
    assertFalse(pool.release(block, 1));
    assertTrue(pool.release(block, 1));
    assertThrows(IllegalStateException.class, () -> pool.release(block, 1));
  }
}
