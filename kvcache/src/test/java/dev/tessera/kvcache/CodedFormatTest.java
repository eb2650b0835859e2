package dev.tessera.kvcache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kvcache.CodedFormat.Coding;
import dev.tessera.kvcache.CodedFormat.Role;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.util.BitSet;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

final class CodedFormatTest {

  static Stream<CodedFormat> formats() {
    return Stream.of(
        new CodedFormat("i8", Role.KEY, TileShape.of(64), List.of(8, 8, 8, 8), true, 0),
        new CodedFormat("p3", Role.VALUE, TileShape.of(40), List.of(3, 3, 3), false, 0),
        new CodedFormat("s3", Role.KEY, TileShape.of(64), List.of(5, 4, 3, 0), true, 3),
        channels(List.of(4, 4, 3), false, 0),
        pairs(Role.KEY, List.of(3, 3, 2), 0),
        pairs(Role.VALUE, List.of(2, 2, 2), 0),
        new CodedFormat("p1", Role.KEY, TileShape.of(8), List.of(1), true, 64));
  }

  private static CodedFormat channels(List<Integer> widths, boolean centred, int spared) {
    return new CodedFormat(
        "c4", Coding.CHANNELS, Role.KEY, TileShape.of(40), widths, centred, spared);
  }

  private static CodedFormat pairs(Role role, List<Integer> widths, int spared) {
    return new CodedFormat(
        "pq", Coding.PAIRS, role, TileShape.of(40), widths, role == Role.KEY, spared);
  }

  /// The offsets that kernels compute with are those of the layout.
  @ParameterizedTest
  @MethodSource("formats")
  void layoutAndOffsetsAgree(CodedFormat format) {
    MemoryLayout layout = format.layout();
    assertEquals(format.tileBytes(), layout.byteSize());
    assertEquals(0, format.tileBytes() % SlabLayout.ALIGNMENT);
    assertEquals(format.scalesOffset(), offset(layout, "scales"));
    for (int group = 0; group < format.groups(); group++) {
      assertEquals(0, format.codesOffset(group) % SlabLayout.ALIGNMENT);
      if (format.widths().get(group) > 0) {
        assertEquals(format.codesOffset(group), offset(layout, "codes" + group));
      }
    }
    if (format.coding() == Coding.CHANNELS) {
      assertEquals(format.zerosOffset(), offset(layout, "zeros"));
      assertEquals(format.endOffset(), format.zerosOffset() + 2 * format.shape().headDim());
    }
    if (format.centred()) {
      assertEquals(format.meanOffset(), offset(layout, "mean"));
      assertEquals(format.meanScaleOffset(), offset(layout, "meanScale"));
    }
    if (format.spared() > 0) {
      assertEquals(format.spareIndexOffset(), offset(layout, "spareIndex"));
      assertEquals(format.spareOffset(), offset(layout, "spare"));
    }
  }

  private static long offset(MemoryLayout layout, String member) {
    return layout.byteOffset(PathElement.groupElement(member));
  }

  @ParameterizedTest
  @MethodSource("formats")
  void everyElementHasAPlaceInItsStream(CodedFormat format) {
    for (int group = 0; group < format.groups(); group++) {
      var taken = new BitSet();
      for (int token = 0; token < 64; token++) {
        for (int code = 0; code < format.groupCodes(group); code++) {
          int index = format.streamIndex(group, token, code);
          assertFalse(taken.get(index));
          taken.set(index);
        }
      }
      assertEquals(64 * format.groupCodes(group), taken.length());
      assertEquals(8 * format.codesBytes(group), taken.length() * format.codeWidth(group));
    }
  }

  /// Stored bits, everything counted: 3 of the codes, 16/64 of the scale, and for keys 1/8 of the
  /// mean, up to whole cache lines.
  @Test
  void countsEveryBit() {
    var value = new CodedFormat("p3", Role.VALUE, TileShape.of(64), List.of(3, 3, 3, 3), false, 0);
    assertEquals(3.25, value.bitsPerElement());
    var key = new CodedFormat("p3", Role.KEY, TileShape.of(64), List.of(3, 3, 3, 3), true, 0);
    assertEquals(64 * (24 + 2) + 64 + 2, key.endOffset());
    assertTrue(key.bitsPerElement() < 3.51, "bits " + key.bitsPerElement());
  }

  @Test
  void refusesWhatItsBytesCannotHold() {
    refuses(
        Role.KEY, List.of(4, 4), 0, "has 2 widths; head dimension 64 has 4 groups of 16 channels");
    refuses(Role.KEY, List.of(4, 4, 7, 4), 0, "has a width of 7 bits; widths are 0 to 6, or 8");
    refuses(
        Role.KEY, List.of(4, 4, 4, 4), 65, "spares 65 tokens of a tile; key tiles spare 0 to 64");
    refuses(
        Role.VALUE, List.of(4, 4, 4, 4), 1, "spares 1 tokens of a tile; value tiles spare 0 to 0");
    for (Executable wrong :
        List.<Executable>of(
            () -> channels(List.of(4, 4, 4), true, 0),
            () -> channels(List.of(8, 8, 8), false, 0),
            () -> channels(List.of(4, 4, 4), false, 1),
            () -> pairs(Role.KEY, List.of(3, 3, 3), 1),
            () -> pairs(Role.KEY, List.of(4, 4, 4), 0),
            () -> pairs(Role.KEY, List.of(2, 2, 0), 0))) {
      assertThrows(IllegalArgumentException.class, wrong);
    }
  }

  private static void refuses(Role role, List<Integer> widths, int spared, String reason) {
    var thrown =
        assertThrows(
            IllegalArgumentException.class,
            () -> new CodedFormat("x", role, TileShape.of(64), widths, false, spared));
    assertEquals("format x " + reason, thrown.getMessage());
  }

  /// `[layer][head]{key, value}`, where a layer may keep its tiles exact.
  @Test
  void layoutsOfFormsFollowTheirFormats() {
    var group = new LayerGroup(0, List.of(0, 1), 0, 0);
    TileFormat p3 = new CodedFormat("p3", Role.KEY, TileShape.of(64), List.of(3, 3, 3, 3), true, 0);
    TileFormat p2 =
        new CodedFormat("p2", Role.VALUE, TileShape.of(64), List.of(2, 2, 2, 2), false, 0);
    TileFormat exact =
        new ExactFormat(ElementType.F16, ExactFormat.Arrangement.LANES_16, TileShape.of(64));
    var layout =
        new FormLayout(
            group,
            2,
            List.of(List.of(p3, exact), List.of(p3, p3)),
            List.of(List.of(p2, p2), List.of(exact, p2)));
    assertEquals(0, layout.keyOffset(0, 0));
    assertEquals(p3.tileBytes(), layout.valueOffset(0, 0));
    assertEquals(p3.tileBytes() + p2.tileBytes(), layout.keyOffset(0, 1));
    long firstLayer = p3.tileBytes() + p2.tileBytes() + exact.tileBytes() + p2.tileBytes();
    assertEquals(firstLayer, layout.keyOffset(1, 0));
    assertEquals(firstLayer + p3.tileBytes() + exact.tileBytes(), layout.keyOffset(1, 1));
    assertEquals(layout.valueOffset(1, 1) + p2.tileBytes(), layout.slabBytes());
  }

  @Test
  void aRuleReadsOlderBlocksInLaterForms() {
    var rule = new CoolingRule(1, List.of(4, 16));
    assertEquals(0, rule.form(100, 0));
    assertEquals(0, rule.form(5, 1));
    assertEquals(1, rule.form(6, 1));
    assertEquals(1, rule.form(17, 1));
    assertEquals(2, rule.form(18, 1));
    assertEquals(0, CoolingRule.NEVER.form(1000, 1));
    assertThrows(IllegalArgumentException.class, () -> new CoolingRule(1, List.of(4, 4)));
    assertThrows(IllegalArgumentException.class, () -> new CoolingRule(1, List.of(0)));
    assertThrows(IllegalArgumentException.class, () -> new CoolingRule(-1, List.of()));
  }
}
