package dev.tessera.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.WeightRole;
import dev.tessera.kvcache.SlabLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/// The functions of `decoder.h`, whose enumerations are in the order of ours.
@SuppressWarnings("EnumOrdinal")
final class DecoderFunctions {

  private final MethodHandle create;
  private final MethodHandle shape;
  private final MethodHandle layer;
  private final MethodHandle matrix;
  private final MethodHandle vector;
  private final MethodHandle group;
  private final MethodHandle rope;
  private final MethodHandle pack;
  private final MethodHandle ready;
  private final MethodHandle tables;
  private final MethodHandle batch;
  private final MethodHandle logits;
  private final MethodHandle logitStride;
  private final MethodHandle qkv;
  private final MethodHandle mixed;
  private final MethodHandle capture;
  private final MethodHandle breakStep;
  private final MethodHandle free;

  DecoderFunctions(NativeLibrary library) {
    create = library.function("ts_decoder_new", of(JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT));
    shape =
        library.function(
            "ts_decoder_shape",
            ofVoid(
                JAVA_LONG,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_FLOAT,
                JAVA_FLOAT,
                JAVA_FLOAT,
                JAVA_FLOAT,
                JAVA_FLOAT));
    layer =
        library.function(
            "ts_decoder_layer", ofVoid(JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT));
    matrix =
        library.function(
            "ts_decoder_matrix",
            ofVoid(JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
    vector =
        library.function("ts_decoder_vector", ofVoid(JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG));
    group =
        library.function(
            "ts_decoder_group",
            ofVoid(
                JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG,
                JAVA_INT, JAVA_INT));
    rope =
        library.function(
            "ts_decoder_rope",
            of(JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_FLOAT, JAVA_LONG));
    pack =
        library.function(
            "ts_decoder_pack",
            ofVoid(JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG));
    ready =
        library.function(
            "ts_decoder_ready",
            of(JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT));
    tables =
        library.function(
            "ts_decoder_tables",
            ofVoid(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG));
    batch =
        library.function(
            "ts_decoder_batch",
            ofVoid(
                JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG,
                JAVA_LONG));
    logits = library.function("ts_decoder_logits", of(JAVA_LONG, JAVA_LONG));
    logitStride = library.function("ts_decoder_logit_stride", of(JAVA_LONG, JAVA_LONG));
    qkv = library.function("ts_decoder_qkv", of(JAVA_LONG, JAVA_LONG));
    mixed = library.function("ts_decoder_mixed", of(JAVA_LONG, JAVA_LONG));
    capture = library.function("ts_decoder_capture", ofVoid(JAVA_LONG, JAVA_LONG));
    breakStep = library.function("ts_decoder_break", ofVoid(JAVA_LONG));
    free = library.function("ts_decoder_free", ofVoid(JAVA_LONG));
  }

  private static FunctionDescriptor of(MemoryLayout result, MemoryLayout... parameters) {
    return FunctionDescriptor.of(result, parameters);
  }

  private static FunctionDescriptor ofVoid(MemoryLayout... parameters) {
    return FunctionDescriptor.ofVoid(parameters);
  }

  private static long requireMemory(long result, long failure, String what) {
    if (result == failure) {
      throw new IllegalStateException("the system refuses memory for " + what);
    }
    return result;
  }

  long create(int layers, int groups, int ropes) {
    try {
      return requireMemory((long) create.invokeExact(layers, groups, ropes), 0, "a decoder");
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void shape(long decoder, DecoderSpec spec) {
    try {
      shape.invokeExact(
          decoder,
          spec.vocabulary(),
          spec.hidden(),
          spec.heads(),
          spec.kvHeads(),
          spec.headDim(),
          spec.feedForward(),
          spec.activation().ordinal(),
          spec.normEpsilon(),
          spec.embeddingScale(),
          spec.attentionScale(),
          spec.attentionSoftCap(),
          spec.logitSoftCap());
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void layer(long decoder, int index, int groupId, int indexInGroup, int ropeIndex) {
    try {
      layer.invokeExact(decoder, index, groupId, indexInGroup, ropeIndex);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void matrix(
      long decoder, int index, WeightRole role, int kind, int rows, int columns, long data) {
    try {
      matrix.invokeExact(decoder, index, role.ordinal(), kind, rows, columns, data);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void vector(long decoder, int index, WeightRole role, long data) {
    try {
      vector.invokeExact(decoder, index, role.ordinal(), data);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void group(long decoder, int index, long slabs, SlabLayout layout, int window, int sinkTokens) {
    try {
      group.invokeExact(
          decoder,
          index,
          slabs,
          layout.slabBytes(),
          layout.layerStride(),
          layout.headStride(),
          layout.valueOffset(),
          window,
          sinkTokens);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void rope(long decoder, int index, RopeSpec spec) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment frequencies = arena.allocateFrom(JAVA_DOUBLE, spec.frequencies());
      requireMemory(
          (int)
              rope.invokeExact(
                  decoder,
                  index,
                  spec.pairing().ordinal(),
                  spec.frequencies().length,
                  spec.magnitude(),
                  frequencies.address()),
          -1,
          "frequencies");
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void pack(long decoder, int index, WeightRole role, long source, long firstRow, long rows) {
    try {
      pack.invokeExact(decoder, index, role.ordinal(), source, firstRow, rows);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  long ready(long decoder, int threads, int rows, int logitRows, int sequences, int positions) {
    try {
      return requireMemory(
          (long) ready.invokeExact(decoder, threads, rows, logitRows, sequences, positions),
          -1,
          "the activations of " + rows + " rows");
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void tables(long decoder, int index, long starts, long first, long sinks, long refs) {
    try {
      tables.invokeExact(decoder, index, starts, first, sinks, refs);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void batch(
      long decoder,
      int rows,
      int sequences,
      int logitRows,
      long tokens,
      long starts,
      long positions,
      long logitRow) {
    try {
      batch.invokeExact(decoder, rows, sequences, logitRows, tokens, starts, positions, logitRow);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  private static long get(MethodHandle handle, long decoder) {
    try {
      return (long) handle.invokeExact(decoder);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  long logits(long decoder) {
    return get(logits, decoder);
  }

  long logitStride(long decoder) {
    return get(logitStride, decoder);
  }

  long qkv(long decoder) {
    return get(qkv, decoder);
  }

  long mixed(long decoder) {
    return get(mixed, decoder);
  }

  void capture(long decoder, long destination) {
    try {
      capture.invokeExact(decoder, destination);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void breakStep(long decoder) {
    try {
      breakStep.invokeExact(decoder);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void free(long decoder) {
    try {
      free.invokeExact(decoder);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }
}
