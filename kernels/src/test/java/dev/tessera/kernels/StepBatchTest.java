package dev.tessera.kernels;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.tessera.kernels.StepBatch.BlockTables;
import dev.tessera.kernels.StepBatch.Coolings;
import dev.tessera.kernels.testing.TinyDecoder;
import dev.tessera.kvcache.BlockRef;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/// A group with a window of 100 tokens and 4 sinks, one with the whole sequence.
final class StepBatchTest {

  private static final DecoderSpec SPEC = TinyDecoder.builder().window(100, 4, 1).build(1).spec();
  private static final SessionLimits LIMITS = new SessionLimits(8, 2, 2, new int[] {10, 20});
  private static final List<Coolings> NOTHING = Coolings.none(2);

  @Test
  void acceptsABlockTableWithAGapBehindTheSinks() {
    assertDoesNotThrow(() -> valid().require(SPEC, LIMITS, CooledForms.NONE));
  }

  @Test
  void findsBlocksBeforeAndBehindTheGap() {
    BlockTables tables = valid().tables()[0];
    assertEquals(7, tables.ref(0, 0));
    assertEquals(3, tables.ref(0, 3));
    assertEquals(4, tables.ref(0, 4));
  }

  @Test
  void refusesMoreRowsThanTheSessionHolds() {
    refuses(
        new StepBatch(
            new int[9], new int[] {0, 9}, new int[] {300}, valid().tables(), new int[0], NOTHING),
        "a step of 9 rows exceeds the session's limit of 8");
  }

  @Test
  void refusesTokensOutsideTheVocabulary() {
    refuses(
        new StepBatch(
            new int[] {0, 97},
            new int[] {0, 2},
            new int[] {300},
            valid().tables(),
            new int[0],
            NOTHING),
        "row 1 has token 97; the vocabulary has 97");
    refuses(
        new StepBatch(
            new int[] {-1, 0},
            new int[] {0, 2},
            new int[] {300},
            valid().tables(),
            new int[0],
            NOTHING),
        "row 0 has token -1; the vocabulary has 97");
  }

  @Test
  void refusesPositionsBeyondTheModel() {
    refuses(
        new StepBatch(
            new int[2], new int[] {0, 2}, new int[] {4095}, valid().tables(), new int[0], NOTHING),
        "sequence 0 has 2 rows from position 4095; the model has 4096 positions");
  }

  @Test
  void refusesLogitsThatDoNotAscend() {
    refuses(
        new StepBatch(
            new int[2],
            new int[] {0, 2},
            new int[] {300},
            valid().tables(),
            new int[] {1, 1},
            NOTHING),
        "logits of row 1 after row 1, in a batch of 2 rows");
  }

  @Test
  void refusesATableThatLacksABlockOfTheWindow() {
    // Position 300 sees 201 and later: block 3 on.
    refuses(
        withWindowTable(new int[] {7, 4}, 4, 1),
        "table of sequence 0 in group 0 has 2 entries: 1 sink blocks, then blocks from 4 on;"
            + " positions 300 to 301 see blocks 3 to 4");
  }

  @Test
  void refusesATableThatLacksTheSinks() {
    refuses(
        withWindowTable(new int[] {3, 4}, 3, 0),
        "table of sequence 0 in group 0 has 2 entries: 0 sink blocks, then blocks from 3 on;"
            + " positions 300 to 301 see blocks 3 to 4");
  }

  @Test
  void refusesATableThatIsTooShort() {
    refuses(
        withWindowTable(new int[] {7, 3}, 3, 1),
        "table of sequence 0 in group 0 has 2 entries: 1 sink blocks, then blocks from 3 on;"
            + " positions 300 to 301 see blocks 3 to 4");
  }

  @Test
  void refusesSlabsThatDoNotExist() {
    refuses(
        withWindowTable(new int[] {7, 3, 10}, 3, 1),
        "table of sequence 0 in group 0 names slab 10 in form 0; there are 10 exact slabs");
    refuses(
        withWindowTable(new int[] {7, 3, BlockRef.of(2, 1)}, 3, 1),
        "table of sequence 0 in group 0 names slab 1 in form 2; there are 10 exact slabs");
  }

  @Test
  void refusesTablesThatPointOutsideTheirReferences() {
    BlockTables window =
        BlockTables.exact(new int[] {0, 4}, new int[] {3}, new int[] {1}, new int[3]);
    refuses(
        new StepBatch(
            new int[2],
            new int[] {0, 2},
            new int[] {300},
            new BlockTables[] {window, valid().tables()[1]},
            new int[0],
            NOTHING),
        "block tables span 0 to 4 of 3 references");
  }

  /// Two rows at positions 300 and 301; the window group has freed blocks 1 and 2.
  private static StepBatch valid() {
    return withWindowTable(new int[] {7, 3, 4}, 3, 1);
  }

  private static StepBatch withWindowTable(int[] refs, int firstBlock, int sinkBlocks) {
    var window =
        BlockTables.exact(
            new int[] {0, refs.length}, new int[] {firstBlock}, new int[] {sinkBlocks}, refs);
    var whole = new int[5];
    Arrays.setAll(whole, i -> i);
    var full = BlockTables.exact(new int[] {0, 5}, new int[] {0}, new int[] {0}, whole);
    return new StepBatch(
        new int[2],
        new int[] {0, 2},
        new int[] {300},
        new BlockTables[] {window, full},
        new int[] {1},
        NOTHING);
  }

  private static void refuses(StepBatch batch, String message) {
    var thrown =
        assertThrows(
            IllegalArgumentException.class, () -> batch.require(SPEC, LIMITS, CooledForms.NONE));
    assertEquals(message, thrown.getMessage());
  }
}
