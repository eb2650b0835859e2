package dev.tessera.kvcache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.util.HashSet;
import java.util.HexFormat;
import java.util.Set;
import org.junit.jupiter.api.Test;

final class BlockHashTest {
  private static final byte[] MODEL = {1, 2, 3};
  private static final byte[] EPOCH = {};

  private static String hex(BlockHash hash) {
    return HexFormat.of().formatHex(hash.bytes());
  }

  /// The expected values were computed with Python's hashlib from the description of the encoding.
  @Test
  void isTheSameInEveryProcess() {
    BlockHash root = BlockHash.root(MODEL, "exact", "exact-f16/1", EPOCH, "salt");
    int[] tokens = Fixtures.tokens(0, 128);
    BlockHash first = root.child(tokens, 0);
    assertEquals("2dbd09075d8856d15569d2a9fb084794f0eebcf4024e52e2dd6e8ea2fa485e47", hex(root));
    assertEquals("ae2a18ce328a2df1204cc2bf3be3a366977eba2ef413f3e6c59b1159784d49df", hex(first));
    assertEquals(
        "6cde88476df257ffe51e8aa68fd95b7d492d4fffa1630f18c3b3372462850778",
        hex(first.child(tokens, 64)));
  }

  @Test
  void everyPartOfTheRootCounts() {
    Set<BlockHash> roots = new HashSet<>();
    roots.add(BlockHash.root(MODEL, "exact", "f16", EPOCH, ""));
    roots.add(BlockHash.root(new byte[] {1, 2}, "exact", "f16", EPOCH, ""));
    roots.add(BlockHash.root(MODEL, "exact:first=64", "f16", EPOCH, ""));
    roots.add(BlockHash.root(MODEL, "exact", "f32", EPOCH, ""));
    roots.add(BlockHash.root(MODEL, "exact", "f16", new byte[] {7}, ""));
    roots.add(BlockHash.root(MODEL, "exact", "f16", EPOCH, "tenant"));
    roots.add(BlockHash.root(MODEL, "exactf", "16", EPOCH, ""));
    assertEquals(7, roots.size());
  }

  @Test
  void aBlockIsNamedByAllTokensBeforeIt() {
    BlockHash root = BlockHash.root(MODEL, "exact", "f16", EPOCH, "");
    int[] one = Fixtures.tokens(0, 128);
    int[] other = one.clone();
    other[0] = 99;
    assertNotEquals(root.child(one, 0).child(one, 64), root.child(other, 0).child(other, 64));
    assertEquals(root.child(one, 64), root.child(other, 64));
  }
}
