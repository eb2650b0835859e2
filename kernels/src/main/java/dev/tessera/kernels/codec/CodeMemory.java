package dev.tessera.kernels.codec;

import java.lang.reflect.Array;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// What codes take of Java's memory: every array once, however many codes share it.
public final class CodeMemory {
  private static final int ARRAY_HEADER_BYTES = 16;

  private final Set<Object> counted = Collections.newSetFromMap(new IdentityHashMap<>());
  private long bytes;

  private CodeMemory() {}

  /// Bytes of codes; null stands for none.
  public static long of(Iterable<? extends @Nullable TileCode> codes) {
    var memory = new CodeMemory();
    codes.forEach(memory::add);
    return memory.bytes;
  }

  private void add(@Nullable TileCode code) {
    if (code == null || !counted.add(code)) {
      return;
    }
    array(code.sigma(), Float.BYTES);
    array(code.fullWidths(), Integer.BYTES);
    for (LevelTable table : code.tables()) {
      array(table.bounds(), Float.BYTES);
      array(table.levels(), Byte.BYTES);
      array(table.fullBounds(), Float.BYTES);
      array(table.fullLevels(), Byte.BYTES);
    }
    code.pairs().forEach(pair -> array(pair.levels(), Byte.BYTES));
    if (code.basis() instanceof Basis.Learned learned) {
      array(learned.forward(), Float.BYTES);
      array(learned.query(), Float.BYTES);
    }
    if (code.turn() != null) {
      array(code.turn().mean(), Float.BYTES);
    }
  }

  private void array(Object array, int elementBytes) {
    if (counted.add(array)) {
      bytes += ARRAY_HEADER_BYTES + (long) elementBytes * Array.getLength(array);
    }
  }
}
