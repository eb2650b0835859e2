package dev.tessera.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.tessera.kernels.AttentionMass;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.StepBatch;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Arrays;

/// Where a decoder in C leaves the attention mass of a step that measures it. C is told of the
/// memory before such a step, and that there is none before the next that does not measure.
final class NativeMass implements AutoCloseable {

  private final MethodHandle function;
  private final long decoder;
  private final DecoderSpec spec;
  private final MemorySegment[] shares; // [groups] of [kvHeads][entries], of the last such step
  private Arena arena = Arena.ofShared();
  private boolean isMeasuring;

  NativeMass(NativeLibrary library, long decoder, DecoderSpec spec) {
    this.function =
        library.function(
            "ts_decoder_mass",
            FunctionDescriptor.ofVoid(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG));
    this.decoder = decoder;
    this.spec = spec;
    this.shares = new MemorySegment[spec.kv().groups().size()];
    Arrays.fill(shares, MemorySegment.NULL);
  }

  void prepare(StepBatch batch) {
    if (!batch.measuresMass() && !isMeasuring) {
      return;
    }
    arena.close();
    arena = Arena.ofShared();
    isMeasuring = batch.measuresMass();
    for (int group = 0; group < shares.length; group++) {
      shares[group] = MemorySegment.NULL;
      MemorySegment logs = MemorySegment.NULL;
      if (isMeasuring && batch.tables()[group].cooled().length > 0) {
        long entries = batch.tables()[group].starts()[batch.sequences()];
        shares[group] = arena.allocate(JAVA_FLOAT, Math.max(1, spec.kvHeads() * entries));
        logs = arena.allocate(JAVA_FLOAT, Math.max(1, spec.heads() * entries));
      }
      tell(group, shares[group].address(), logs.address());
    }
  }

  private void tell(int group, long sharesAt, long logsAt) {
    try {
      function.invokeExact(decoder, group, sharesAt, logsAt);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  /// Copies what the step that was prepared for has left.
  void read(StepBatch batch, AttentionMass mass) {
    for (int group = 0; group < shares.length; group++) {
      int entries = batch.tables()[group].starts()[batch.sequences()];
      for (int head = 0; head < spec.kvHeads(); head++) {
        float[] ofHead = mass.shares(group, head);
        if (ofHead != null) {
          long at = (long) Float.BYTES * head * entries;
          MemorySegment.copy(shares[group], JAVA_FLOAT, at, ofHead, 0, entries);
        }
      }
    }
  }

  @Override
  public void close() {
    arena.close();
  }
}
