package dev.tessera.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.tessera.kernels.RopeSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/// The functions of `decoder.h` for cooled forms.
final class FormFunctions {

  private final MethodHandle rule;
  private final MethodHandle form;
  private final MethodHandle code;
  private final MethodHandle turning;
  private final MethodHandle place;
  private final MethodHandle cool;
  private final MethodHandle refs;
  private final MethodHandle readForms;
  private final MethodHandle coolings;
  private final MethodHandle meter;
  private final MethodHandle meters;

  FormFunctions(NativeLibrary library) {
    rule =
        library.function(
            "ts_decoder_rule",
            FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG));
    form =
        library.function(
            "ts_decoder_form",
            FunctionDescriptor.ofVoid(JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG));
    code =
        library.function("ts_decoder_code", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG));
    turning =
        library.function(
            "ts_decoder_turning",
            FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_FLOAT, JAVA_LONG));
    place =
        library.function(
            "ts_decoder_place",
            FunctionDescriptor.ofVoid(
                JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG));
    cool = library.function("ts_decoder_cool", FunctionDescriptor.of(JAVA_LONG, JAVA_LONG));
    refs =
        library.function(
            "ts_decoder_cooled_refs",
            FunctionDescriptor.ofVoid(JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG));
    readForms =
        library.function(
            "ts_decoder_read_forms", FunctionDescriptor.ofVoid(JAVA_LONG, JAVA_INT, JAVA_LONG));
    coolings =
        library.function(
            "ts_decoder_coolings",
            FunctionDescriptor.of(
                JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG));
    meter = library.function("ts_code_meter", FunctionDescriptor.ofVoid(JAVA_LONG, JAVA_INT));
    meters =
        library.function(
            "ts_decoder_meters", FunctionDescriptor.ofVoid(JAVA_LONG, JAVA_INT, JAVA_LONG));
  }

  void meter(long code, int number) {
    try {
      meter.invokeExact(code, number);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void meters(long decoder, int count, long[] values) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment all = arena.allocate(JAVA_LONG, Math.max(1, values.length));
      meters.invokeExact(decoder, count, all.address());
      MemorySegment.copy(all, JAVA_LONG, 0, values, 0, values.length);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  int rule(long decoder, int firstBlocks, int count, long ages) {
    try {
      return (int) rule.invokeExact(decoder, firstBlocks, count, ages);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void form(long decoder, int group, int index, long slabs, long slabBytes) {
    try {
      form.invokeExact(decoder, group, index, slabs, slabBytes);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  int code(long decoder, long address) {
    try {
      return (int) code.invokeExact(decoder, address);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  @SuppressWarnings("EnumOrdinal") // in the order of decoder.h
  int turning(long decoder, RopeSpec rope, int pairs, long frequencies) {
    int pairing = rope.pairing().ordinal();
    float magnitude = rope.magnitude();
    try {
      return (int) turning.invokeExact(decoder, pairing, pairs, magnitude, frequencies);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void place(long decoder, int layer, int index, int head, int isValue, long at, long codeAddress) {
    try {
      place.invokeExact(decoder, layer, index, head, isValue, at, codeAddress);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  long cool(long decoder) {
    try {
      return (long) cool.invokeExact(decoder);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void refs(long decoder, int group, int index, long address) {
    try {
      refs.invokeExact(decoder, group, index, address);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  void readForms(long decoder, int group, long address) {
    try {
      readForms.invokeExact(decoder, group, address);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }

  int coolings(long decoder, int group, int count, long blocks, long from, long to) {
    try {
      return (int) coolings.invokeExact(decoder, group, count, blocks, from, to);
    } catch (Throwable e) {
      throw NativeLibrary.unexpected(e);
    }
  }
}
