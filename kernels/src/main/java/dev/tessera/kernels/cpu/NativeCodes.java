package dev.tessera.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.tessera.kernels.codec.Basis;
import dev.tessera.kernels.codec.LevelTable;
import dev.tessera.kernels.codec.PairTable;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.CodedFormat.Role;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.invoke.MethodHandle;

/// Codes in C's memory (`codes.h`).
final class NativeCodes {

  private final MethodHandle create;
  private final MethodHandle levels;
  private final MethodHandle pair;

  NativeCodes(NativeLibrary library) {
    create =
        library.function(
            "ts_code_new",
            FunctionDescriptor.of(
                JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG,
                JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT));
    levels =
        library.function(
            "ts_code_group_levels",
            FunctionDescriptor.ofVoid(
                JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_FLOAT, JAVA_LONG, JAVA_LONG));
    pair =
        library.function(
            "ts_code_pair",
            FunctionDescriptor.ofVoid(JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_FLOAT, JAVA_LONG));
  }

  /// A code in C's memory, not yet owned by a decoder.
  long allocate(TileCode code, int turning, Arena arena) {
    CodedFormat format = code.format();
    int groups = format.groups();
    var offsets = new long[groups + 7];
    for (int group = 0; group < groups; group++) {
      offsets[group] = format.codesOffset(group);
    }
    offsets[groups] = format.scalesOffset();
    offsets[groups + 1] = format.zerosOffset();
    offsets[groups + 2] = format.meanOffset();
    offsets[groups + 3] = format.meanScaleOffset();
    offsets[groups + 4] = format.spareIndexOffset();
    offsets[groups + 5] = format.spareOffset();
    offsets[groups + 6] = format.tileBytes();
    var learned = code.basis() instanceof Basis.Learned basis ? basis : null;
    long address =
        create(
            format,
            groups,
            arena.allocateFrom(JAVA_LONG, offsets).address(),
            floats(arena, code.sigma()),
            learned == null ? 0 : floats(arena, learned.forward()),
            learned == null ? 0 : floats(arena, learned.query()),
            code.turn() == null ? 0 : floats(arena, code.turn().mean()),
            turning);
    for (int pair = 0; pair < code.pairs().size(); pair++) {
      pair(address, pair, code.pairs().get(pair), arena);
    }
    for (int group = 0; group < code.tables().size(); group++) {
      LevelTable table = code.tables().get(group);
      levels(
          address,
          group,
          0,
          table.width(),
          table.step(),
          floats(arena, table.bounds()),
          arena.allocateFrom(JAVA_BYTE, table.levels()).address());
      if (table.fullWidth() != table.width()) {
        levels(
            address,
            group,
            1,
            table.fullWidth(),
            table.fullStep(),
            floats(arena, table.fullBounds()),
            arena.allocateFrom(JAVA_BYTE, table.fullLevels()).address());
      }
    }
    return address;
  }

  private static long floats(Arena arena, float[] values) {
    return arena.allocateFrom(JAVA_FLOAT, values).address();
  }

  private long create(
      CodedFormat format,
      int groups,
      long offsets,
      long sigma,
      long forward,
      long query,
      long turn,
      int turning) {
    int headDim = format.shape().headDim();
    int coding = TileHeader.number(format.coding());
    int isKey = format.role() == Role.KEY ? 1 : 0;
    int isCentred = format.centred() ? 1 : 0;
    int spared = format.spared();
    long address;
    try {
      address =
          (long)
              create.invokeExact(
                  headDim, coding, isKey, isCentred, spared, groups, offsets, sigma, forward, query,
                  turn, turning);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
    if (address == 0) {
      throw new IllegalStateException("the system refuses memory for a code");
    }
    return address;
  }

  private void levels(
      long code, int group, int isFull, int width, float step, long bounds, long levelsAt) {
    try {
      levels.invokeExact(code, group, isFull, width, step, bounds, levelsAt);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  private void pair(long code, int index, PairTable table, Arena arena) {
    long levelsAt = arena.allocateFrom(JAVA_BYTE, table.levels()).address();
    try {
      pair.invokeExact(code, index, table.codewords(), table.step(), levelsAt);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }
}
