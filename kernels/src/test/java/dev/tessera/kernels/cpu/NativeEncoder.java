package dev.tessera.kernels.cpu;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.testing.GoldenTiles;
import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.ElementType;
import dev.tessera.kvcache.ExactFormat;
import dev.tessera.kvcache.ExactFormat.Arrangement;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.List;

/// The C encoder of one instruction set as an encoder of golden tiles.
public final class NativeEncoder implements GoldenTiles.Encoder {

  private static final int TOKENS = 64;
  private static final long CODER_BYTES = 4L << 20;

  private final NativeLibrary library;
  private final String suffix;
  private final MethodHandle encode;
  private final MethodHandle cut;

  private NativeEncoder(NativeLibrary library, String suffix) {
    this.library = library;
    this.suffix = suffix;
    encode =
        library.function(
            "ts_encode_" + suffix,
            FunctionDescriptor.ofVoid(ADDRESS, JAVA_INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS));
    cut =
        library.function(
            "ts_cut_" + suffix,
            FunctionDescriptor.ofVoid(ADDRESS, JAVA_INT, ADDRESS, ADDRESS, ADDRESS));
  }

  /// Those that this machine can run.
  public static List<GoldenTiles.Encoder> all() {
    var encoders = new ArrayList<GoldenTiles.Encoder>();
    try {
      if (NativeLibrary.exists(NativeLibrary.PRODUCT)) {
        NativeLibrary library = NativeLibrary.load(NativeLibrary.PRODUCT);
        for (Isa isa : Isa.values()) {
          if (isa.compareTo(library.best()) <= 0 && library.has(isa)) {
            encoders.add(new NativeEncoder(library, isa.label()));
          }
        }
      }
      if (NativeLibrary.exists(EmulatedBackendProvider.LIBRARY)) {
        NativeLibrary library = NativeLibrary.load(EmulatedBackendProvider.LIBRARY);
        if (library.best() != Isa.PORTABLE) {
          encoders.add(new NativeEncoder(library, "emulated"));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return encoders;
  }

  @Override
  public void encode(TileCode code, float[] x, int firstPosition, MemorySegment tile) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment chain = arena.allocate(JAVA_LONG);
      chain.set(JAVA_LONG, 0, new NativeCodes(library).allocate(code, 0, arena));
      MemorySegment out = arena.allocate(tile.byteSize(), 64);
      MemorySegment coder = arena.allocate(CODER_BYTES, 64);
      MemorySegment turns = turns(code, firstPosition, arena);
      encode.invokeExact(chain, 1, exact(code.format(), x, arena), turns, out, coder);
      tile.copyFrom(out);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  private static MemorySegment exact(CodedFormat format, float[] x, Arena arena) {
    boolean isKey = format.role() == CodedFormat.Role.KEY;
    var arrangement = isKey ? Arrangement.LANES_16 : Arrangement.TOKEN_MAJOR;
    var exact = new ExactFormat(ElementType.F16, arrangement, format.shape());
    int headDim = format.shape().headDim();
    MemorySegment halves = arena.allocate(2L * x.length, 64);
    for (int i = 0; i < x.length; i++) {
      int index = exact.index(i / headDim, i % headDim);
      halves.setAtIndex(ValueLayout.JAVA_SHORT, index, Float.floatToFloat16(x[i]));
    }
    return halves;
  }

  /// `ts_turns`: pairing, pairs, and `[pairs]{ cos[64], sin[64] }`.
  private static MemorySegment turns(TileCode code, int firstPosition, Arena arena) {
    if (code.turn() == null) {
      return MemorySegment.NULL;
    }
    RopeSpec rope = code.turn().rope();
    int pairs = rope.frequencies().length;
    MemorySegment table = arena.allocate(JAVA_FLOAT, 2L * TOKENS * pairs);
    for (int pair = 0; pair < pairs; pair++) {
      for (int token = 0; token < TOKENS; token++) {
        double angle = (firstPosition + token) * rope.frequencies()[pair];
        long at = 2L * TOKENS * pair + token;
        table.setAtIndex(JAVA_FLOAT, at, (float) (StrictMath.cos(angle) * rope.magnitude()));
        float sine = (float) (StrictMath.sin(angle) * rope.magnitude());
        table.setAtIndex(JAVA_FLOAT, at + TOKENS, sine);
      }
    }
    MemorySegment turns = arena.allocate(16, 8);
    turns.set(JAVA_INT, 0, rope.pairing() == RopeSpec.Pairing.SPLIT ? 1 : 0);
    turns.set(JAVA_INT, 4, pairs);
    turns.set(JAVA_LONG, 8, table.address());
    return turns;
  }

  @Override
  public void cut(TileCode from, MemorySegment source, TileCode to, MemorySegment target) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment in = arena.allocate(source.byteSize(), 64);
      in.copyFrom(source);
      MemorySegment out = arena.allocate(target.byteSize(), 64);
      MemorySegment coder = arena.allocate(CODER_BYTES, 64);
      MemorySegment chain = arena.allocate(JAVA_LONG, 2);
      chain.setAtIndex(JAVA_LONG, 0, new NativeCodes(library).allocate(from, 0, arena));
      chain.setAtIndex(JAVA_LONG, 1, new NativeCodes(library).allocate(to, 0, arena));
      cut.invokeExact(chain, 2, in, out, coder);
      target.copyFrom(out);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  @Override
  public String toString() {
    return "C, " + suffix;
  }
}
