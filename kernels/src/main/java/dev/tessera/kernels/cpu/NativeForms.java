package dev.tessera.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.tessera.kernels.CodecStats;
import dev.tessera.kernels.CooledForm;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kernels.codec.Basis;
import dev.tessera.kernels.codec.LevelTable;
import dev.tessera.kernels.codec.PairTable;
import dev.tessera.kernels.codec.ReconstructionSamples;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.CodedFormat.Role;
import dev.tessera.kvcache.SlabLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.function.ToLongFunction;
import org.jspecify.annotations.Nullable;

/// The cooled forms of a decoder in C (`cooling.c`): their slabs and codes, and their part of a
/// step.
final class NativeForms {

  /// Reserves memory that lives as long as the decoder.
  interface Memory {
    long reserve(long bytes, String what);
  }

  /// `TS_MAX_METERS`, and the fields of a `ts_meter`.
  private static final int MOST_METERS = 32;

  private static final int METER_LONGS = 5;

  private final NativeLibrary library;
  private final Functions functions;
  private final long decoder;
  private final CooledForms forms;
  private final IdentityHashMap<TileCode, Long> codes = new IdentityHashMap<>();
  private final List<RopeSpec> turnings = new ArrayList<>();
  private final long[][] slabs; // [groups][form - 1]
  private final List<String> meters = new ArrayList<>(); // formats, in the order of C's meters
  private final ReconstructionSamples samples;
  private final long bytes;

  /// @throws UnsupportedOperationException if the kernels do not read one of the formats
  NativeForms(
      NativeLibrary library,
      long decoder,
      DecoderSpec spec,
      SlabLayout[] exact,
      CooledForms forms,
      Memory memory) {
    this.library = library;
    this.samples = new ReconstructionSamples(forms, exact);
    this.functions = new Functions(library);
    this.decoder = decoder;
    this.forms = forms;
    slabs = new long[spec.kv().groups().size()][];
    requireReadable();
    int[] ages = forms.rule().ageBlocks().stream().mapToInt(Integer::intValue).toArray();
    try (Arena arena = Arena.ofConfined()) {
      long at = arena.allocateFrom(JAVA_INT, ages).address();
      require(functions.rule(decoder, forms.rule().firstBlocks(), ages.length, at));
      for (int group = 0; group < slabs.length; group++) {
        List<CooledForm> cooled = forms.of(group);
        slabs[group] = new long[cooled.size()];
        for (int form = 1; form <= cooled.size(); form++) {
          addForm(group, form, cooled.get(form - 1), memory, arena);
        }
      }
    }
    bytes = functions.cool(decoder);
    require(bytes < 0 ? -1 : 0);
  }

  /// Of scratch and codes.
  long bytes() {
    return bytes;
  }

  private void addForm(int group, int form, CooledForm cooled, Memory memory, Arena arena) {
    long slabBytes = cooled.layout().slabBytes();
    String what = "%d slabs of form %d of layer group %d".formatted(cooled.slabs(), form, group);
    long all = Math.max(1, Math.multiplyExact(slabBytes, (long) cooled.slabs()));
    slabs[group][form - 1] = memory.reserve(all, what);
    functions.form(decoder, group, form, slabs[group][form - 1], slabBytes);
    List<Integer> layers = cooled.layout().group().layers();
    for (int i = 0; i < layers.size(); i++) {
      for (int head = 0; head < cooled.layout().kvHeads(); head++) {
        long key = code(cooled.keys().get(i).get(head), arena);
        long value = code(cooled.values().get(i).get(head), arena);
        long keyAt = cooled.layout().keyOffset(i, head);
        long valueAt = cooled.layout().valueOffset(i, head);
        functions.place(decoder, layers.get(i), form, head, 0, keyAt, key);
        functions.place(decoder, layers.get(i), form, head, 1, valueAt, value);
      }
    }
  }

  /// The address of a code in C, or 0 for none.
  private long code(@Nullable TileCode code, Arena arena) {
    if (code == null) {
      return 0;
    }
    Long known = codes.get(code);
    if (known != null) {
      return known;
    }
    int turning = code.turn() == null ? 0 : turningOf(code.turn().rope(), arena);
    long address = allocate(library, code, turning, arena);
    require(functions.code(decoder, address));
    functions.meter(address, meterOf(code.format().name()));
    codes.put(code, address);
    return address;
  }

  /// The number under which C counts a format. More formats than there are numbers share the last.
  private int meterOf(String format) {
    int meter = meters.indexOf(format);
    if (meter < 0 && meters.size() < MOST_METERS) {
      meters.add(meters.size() == MOST_METERS - 1 ? "others" : format);
      meter = meters.size() - 1;
    }
    return meter < 0 ? MOST_METERS - 1 : meter;
  }

  /// Between steps.
  List<CodecStats> stats() {
    long[] counts = new long[METER_LONGS * meters.size()];
    functions.meters(decoder, meters.size(), counts);
    List<CodecStats> stats = new ArrayList<>();
    for (int i = 0; i < meters.size(); i++) {
      int at = METER_LONGS * i;
      long read = counts[at + 2];
      long timed = counts[at + 3];
      double scale = timed == 0 ? 0 : (double) read / timed;
      var compared = samples.of(meters.get(i));
      stats.add(
          new CodecStats(
              meters.get(i),
              counts[at],
              counts[at + 1],
              read,
              Math.round(scale * counts[at + 4]),
              compared.tiles(),
              compared.squaredError(),
              compared.squaredElements()));
    }
    return stats;
  }

  /// Compares a tile that the last step has cooled with what it was, now and then.
  ///
  /// @param exact where the exact slabs of each group lie
  void observe(List<StepBatch.Coolings> coolings, ReconstructionSamples.Slabs exact) {
    samples.observe(
        coolings,
        (group, ref) -> {
          int form = BlockRef.form(ref);
          if (form == BlockRef.EXACT) {
            return exact.slab(group, ref);
          }
          long slabBytes = forms.of(group).get(form - 1).layout().slabBytes();
          return MemorySegment.ofAddress(slabs[group][form - 1] + BlockRef.slab(ref) * slabBytes)
              .reinterpret(slabBytes);
        });
  }

  /// Before anything is announced.
  private void requireReadable() {
    for (List<CooledForm> group : forms.groups()) {
      for (CooledForm form : group) {
        form.keys().forEach(heads -> heads.forEach(this::requireReadable));
        form.values().forEach(heads -> heads.forEach(this::requireReadable));
      }
    }
  }

  private void requireReadable(@Nullable TileCode code) {
    if (code == null) {
      return;
    }
    CodedFormat format = code.format();
    boolean isPlain = !format.centred() && code.basis() instanceof Basis.Hadamard;
    if (format.role() == Role.VALUE && !isPlain) {
      throw new UnsupportedOperationException(
          NativeBackendProvider.NAME
              + " reads values in the Hadamard basis without a mean only, not "
              + format.name());
    }
  }

  /// The number of a rotation in C, which gets to know it if need be.
  private int turningOf(RopeSpec rope, Arena arena) {
    for (int i = 0; i < turnings.size(); i++) {
      RopeSpec known = turnings.get(i);
      if (known.pairing() == rope.pairing()
          && known.magnitude() == rope.magnitude()
          && Arrays.equals(known.frequencies(), rope.frequencies())) {
        return i;
      }
    }
    turnings.add(rope);
    double[] frequencies = rope.frequencies();
    long at = arena.allocateFrom(JAVA_DOUBLE, frequencies).address();
    int index = functions.turning(decoder, rope, frequencies.length, at);
    require(Math.min(index, 0));
    return index;
  }

  /// A code in C's memory, not yet owned by a decoder.
  static long allocate(NativeLibrary library, TileCode code, int turning, Arena arena) {
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
    var functions = new CodeFunctions(library);
    long address =
        functions.create(
            format,
            groups,
            arena.allocateFrom(JAVA_LONG, offsets).address(),
            floats(arena, code.sigma()),
            learned == null ? 0 : floats(arena, learned.forward()),
            learned == null ? 0 : floats(arena, learned.query()),
            code.turn() == null ? 0 : floats(arena, code.turn().mean()),
            turning);
    for (int pair = 0; pair < code.pairs().size(); pair++) {
      functions.pair(address, pair, code.pairs().get(pair), arena);
    }
    for (int group = 0; group < code.tables().size(); group++) {
      LevelTable table = code.tables().get(group);
      functions.levels(
          address,
          group,
          0,
          table.width(),
          table.step(),
          floats(arena, table.bounds()),
          arena.allocateFrom(JAVA_BYTE, table.levels()).address());
      if (table.fullWidth() != table.width()) {
        functions.levels(
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

  private static void require(int status) {
    if (status != 0) {
      throw new IllegalStateException("the system refuses memory for cooled forms");
    }
  }

  /// Ints that a step's part takes.
  static int ints(StepBatch batch) {
    int ints = 0;
    for (StepBatch.BlockTables tables : batch.tables()) {
      for (int[] refs : tables.cooled()) {
        ints = Math.addExact(ints, refs.length);
      }
      ints = Math.addExact(ints, tables.readForms().length);
    }
    for (StepBatch.Coolings coolings : batch.coolings()) {
      ints = Math.addExact(ints, Math.multiplyExact(3, coolings.count()));
    }
    return ints;
  }

  /// Hands over a step's part of a batch that was checked.
  ///
  /// @param upload where an array lies once it is copied
  void batch(StepBatch batch, ToLongFunction<int[]> upload) {
    for (int group = 0; group < slabs.length; group++) {
      int[][] cooled = batch.tables()[group].cooled();
      int[] readForms = batch.tables()[group].readForms();
      for (int form = 1; form <= cooled.length; form++) {
        long refs = upload.applyAsLong(cooled[form - 1]);
        functions.refs(decoder, group, form, refs);
      }
      boolean isNamed = cooled.length > 0 && readForms.length > 0;
      functions.readForms(decoder, group, isNamed ? upload.applyAsLong(readForms) : 0);
      StepBatch.Coolings coolings = batch.coolings().get(group);
      long blocks = upload.applyAsLong(coolings.blocks());
      long from = upload.applyAsLong(coolings.origins());
      long to = upload.applyAsLong(coolings.to());
      require(functions.coolings(decoder, group, coolings.count(), blocks, from, to));
    }
  }

  /// The memory of a slab.
  MemorySegment slab(int group, int form, int slab) {
    long bytes = forms.of(group).get(form - 1).layout().slabBytes();
    return MemorySegment.ofAddress(slabs[group][form - 1] + slab * bytes).reinterpret(bytes);
  }

  /// The functions of `codes.h`.
  private static final class CodeFunctions {

    private final MethodHandle create;
    private final MethodHandle levels;
    private final MethodHandle pair;

    CodeFunctions(NativeLibrary library) {
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

    long create(
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
                    headDim, coding, isKey, isCentred, spared, groups, offsets, sigma, forward,
                    query, turn, turning);
      } catch (Throwable e) {
        throw NativeLibrary.unexpected(e);
      }
      require(address == 0 ? -1 : 0);
      return address;
    }

    void levels(
        long code, int group, int isFull, int width, float step, long bounds, long levelsAt) {
      try {
        levels.invokeExact(code, group, isFull, width, step, bounds, levelsAt);
      } catch (Throwable e) {
        throw NativeLibrary.unexpected(e);
      }
    }

    void pair(long code, int index, PairTable table, Arena arena) {
      long levelsAt = arena.allocateFrom(JAVA_BYTE, table.levels()).address();
      try {
        pair.invokeExact(code, index, table.codewords(), table.step(), levelsAt);
      } catch (Throwable e) {
        throw NativeLibrary.unexpected(e);
      }
    }
  }

  /// The functions of `decoder.h` for cooled forms.
  private static final class Functions {

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

    Functions(NativeLibrary library) {
      rule =
          library.function(
              "ts_decoder_rule",
              FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG));
      form =
          library.function(
              "ts_decoder_form",
              FunctionDescriptor.ofVoid(JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG));
      code =
          library.function(
              "ts_decoder_code", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG));
      turning =
          library.function(
              "ts_decoder_turning",
              FunctionDescriptor.of(
                  JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_FLOAT, JAVA_LONG));
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

    void place(
        long decoder, int layer, int index, int head, int isValue, long at, long codeAddress) {
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
}
