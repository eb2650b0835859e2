package dev.tessera.kernels;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.tessera.kernels.StepBatch.BlockTables;
import dev.tessera.kernels.StepBatch.Coolings;
import dev.tessera.kernels.codec.PlainCodes;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.testing.TinyDecoder;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.CoolingRule;
import dev.tessera.kvcache.FormLayout;
import dev.tessera.kvcache.LayerGroup;
import java.util.Arrays;
import java.util.Collections;
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

  /// Position 300 is in block 4: by a rule of one first block and an age of one, it reads blocks 1
  /// and 2 cooled.
  @Test
  void wantsTheFormsThatItsQueriesRead() {
    assertDoesNotThrow(
        () -> cooled(0, -1, -1, 3, 4, -1, 8, 9, -1, -1).require(SPEC, LIMITS, FORMS));
    refusesCooled(
        cooled(0, -1, -1, -1, 4, -1, 8, 9, -1, -1),
        "table of sequence 0 in group 1 lacks block 3 in form 0; positions 300 to 301 read it");
    refusesCooled(
        cooled(0, 1, 2, 3, 4, -1, 8, -1, -1, -1),
        "table of sequence 0 in group 1 lacks block 2 in form 1; positions 300 to 301 read it");
    refusesCooled(
        cooled(-1, 1, 2, 3, 4, 7, 8, 9, -1, -1),
        "table of sequence 0 in group 1 lacks block 0 in form 0; positions 300 to 301 read it");
    refusesCooled(
        cooled(0, -1, -1, 3, 4, -1, 8, 12, -1, -1),
        "table of sequence 0 in group 1 names slab 12 in form 1; there are 12 form-1 slabs");
    refusesCooled(valid(), "batch has cooled forms in block tables 0; expected 1");
  }

  /// Positions 300 to 323 lie in blocks 4 and 5: between them block 3 cools.
  @Test
  void wantsBothFormsOfATileThatCoolsInAChunk() {
    refusesCooled(
        across(-1, 9),
        "table of sequence 0 in group 1 lacks block 3 in form 0; positions 300 to 323 read it");
    refusesCooled(
        across(3, -1),
        "table of sequence 0 in group 1 lacks block 3 in form 1; positions 300 to 323 read it");
    assertDoesNotThrow(() -> across(3, 9).require(SPEC, MANY_ROWS, FORMS));
  }

  @Test
  void wantsTheFormsThatTablesName() {
    assertDoesNotThrow(() -> named(0, 1, 0, 0, 0).require(SPEC, LIMITS, FORMS));
    refusesCooled(
        named(0, 0, 0, 0, 0),
        "table of sequence 0 in group 1 lacks block 1 in form 0; positions 300 to 301 read it");
    refusesCooled(
        named(0, 1, 1, 0, 0),
        "table of sequence 0 in group 1 lacks block 2 in form 1; positions 300 to 301 read it");
    refusesCooled(
        named(0, 2, 0, 0, 0),
        "sequence 0 reads block 1 in form 2 in group 1; positions from 300 on read it in 1 at"
            + " most");
    refusesCooled(
        named(0, 1, 0, 0, 1),
        "sequence 0 reads block 4 in form 1 in group 1; positions from 300 on read it in 0 at"
            + " most");
    refusesCooled(named(0, 1, 0), "batch has forms to read 3; expected 5");
  }

  /// Blocks 0, 2, 3 and 4 are there exact, 1 and 4 in form 1.
  private static StepBatch named(int... readForms) {
    StepBatch batch = cooled(0, -1, 2, 3, 4, -1, 8, -1, -1, 9);
    BlockTables full = batch.tables()[1];
    return new StepBatch(
        batch.tokenIds(),
        batch.rowStarts(),
        batch.firstPositions(),
        new BlockTables[] {
          batch.tables()[0],
          new BlockTables(
              full.starts(),
              full.firstBlocks(),
              full.sinkBlocks(),
              full.refs(),
              full.cooled(),
              readForms)
        },
        batch.logitRows(),
        NOTHING);
  }

  private static final SessionLimits MANY_ROWS = new SessionLimits(24, 2, 2, new int[] {10, 20});

  private static StepBatch across(int exact, int cooled) {
    var window =
        BlockTables.exact(new int[] {0, 4}, new int[] {3}, new int[] {1}, new int[] {7, 3, 4, 5});
    int[] refs = {0, BlockRef.NONE, BlockRef.NONE, exact, 4, 5};
    int third = cooled < 0 ? BlockRef.NONE : BlockRef.of(1, cooled);
    int[] form1 = {-1, BlockRef.of(1, 1), BlockRef.of(1, 2), third, -1, -1};
    var full =
        new BlockTables(new int[] {0, 6}, new int[] {0}, new int[] {0}, refs, new int[][] {form1});
    return new StepBatch(
        new int[24],
        new int[] {0, 24},
        new int[] {300},
        new BlockTables[] {window, full},
        new int[] {1},
        NOTHING);
  }

  @Test
  void wantsCoolingsBetweenFormsAndSlabsThatExist() {
    assertDoesNotThrow(
        () -> cooling(2, BlockRef.of(0, 19), BlockRef.of(1, 11)).require(SPEC, LIMITS, FORMS));
    refusesCooled(
        cooling(2, BlockRef.of(0, 20), BlockRef.of(1, 11)),
        "a cooling of block 2 in group 1 names slab 20 in form 0; there are 20 exact slabs");
    refusesCooled(
        cooling(2, BlockRef.of(0, 19), BlockRef.of(1, 12)),
        "a cooling of block 2 in group 1 names slab 12 in form 1; there are 12 form-1 slabs");
    refusesCooled(
        cooling(2, BlockRef.of(0, 19), BlockRef.of(2, 1)),
        "block 2 cools from form 0 to form 2 in group 1, which has 1 cooled forms");
    refusesCooled(
        cooling(2, BlockRef.of(1, 1), BlockRef.of(1, 2)),
        "block 2 cools from form 1 to form 1 in group 1, which has 1 cooled forms");
    refusesCooled(
        cooling(64, BlockRef.of(0, 1), BlockRef.of(1, 2)),
        "block 64 cools in group 1; the model has 4096 positions");
  }

  private static final CooledForms FORMS =
      new CooledForms(new CoolingRule(1, List.of(1)), List.of(List.of(), List.of(form())));

  private static CooledForm form() {
    int headDim = SPEC.headDim();
    TileCode key = PlainCodes.planes(CodedFormat.Role.KEY, headDim, 4, 0, null);
    TileCode value = PlainCodes.planes(CodedFormat.Role.VALUE, headDim, 3, 0, null);
    LayerGroup group = SPEC.kv().groups().get(1);
    int layers = group.layers().size();
    return new CooledForm(
        FormLayout.uniform(group, SPEC.kvHeads(), key.format(), value.format()),
        Collections.nCopies(layers, Collections.nCopies(SPEC.kvHeads(), key)),
        Collections.nCopies(layers, Collections.nCopies(SPEC.kvHeads(), value)),
        12);
  }

  /// [#valid()] with other slabs in the full group: five exact ones, five of form 1; -1 for none.
  private static StepBatch cooled(int... slabs) {
    var refs = new int[5];
    var form1 = new int[5];
    for (int i = 0; i < 5; i++) {
      refs[i] = slabs[i] < 0 ? BlockRef.NONE : BlockRef.of(0, slabs[i]);
      form1[i] = slabs[5 + i] < 0 ? BlockRef.NONE : BlockRef.of(1, slabs[5 + i]);
    }
    var full =
        new BlockTables(new int[] {0, 5}, new int[] {0}, new int[] {0}, refs, new int[][] {form1});
    StepBatch valid = valid();
    return new StepBatch(
        valid.tokenIds(),
        valid.rowStarts(),
        valid.firstPositions(),
        new BlockTables[] {valid.tables()[0], full},
        valid.logitRows(),
        NOTHING);
  }

  private static StepBatch cooling(int block, int from, int to) {
    StepBatch batch = cooled(0, -1, -1, 3, 4, -1, 8, 9, -1, -1);
    return new StepBatch(
        batch.tokenIds(),
        batch.rowStarts(),
        batch.firstPositions(),
        batch.tables(),
        batch.logitRows(),
        List.of(
            Coolings.none(1).getFirst(),
            new Coolings(new int[] {block}, new int[] {from}, new int[] {to})));
  }

  private static void refusesCooled(StepBatch batch, String message) {
    var thrown =
        assertThrows(IllegalArgumentException.class, () -> batch.require(SPEC, MANY_ROWS, FORMS));
    assertEquals(message, thrown.getMessage());
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
