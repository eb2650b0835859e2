package dev.tessera.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.tessera.kernels.CodecStats;
import dev.tessera.kernels.CooledForm;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kernels.codec.Basis;
import dev.tessera.kernels.codec.ReconstructionSamples;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.CodedFormat.Role;
import dev.tessera.kvcache.SlabLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
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

  private final NativeCodes nativeCodes;
  private final FormFunctions functions;
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
    this.nativeCodes = new NativeCodes(library);
    this.samples = new ReconstructionSamples(forms, exact);
    this.functions = new FormFunctions(library);
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
    long address = nativeCodes.allocate(code, turning, arena);
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
}
