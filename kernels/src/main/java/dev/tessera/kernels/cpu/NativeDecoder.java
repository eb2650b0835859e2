package dev.tessera.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.tessera.kernels.AttentionMass;
import dev.tessera.kernels.CodecStats;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.RowCapture;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kernels.WeightRole;
import dev.tessera.kernels.cpu.NativeLibrary.Kernels;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.SlabLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A decoder in C (`decoder.h`) with its tile memory, built up piece by piece. Only C knows how it
/// lies in memory.
final class NativeDecoder implements AutoCloseable {

  private record Region(long address, long bytes) {}

  private final NativeLibrary library;
  private final DecoderFunctions functions;
  private final long address;
  private final List<Region> regions = new ArrayList<>();
  private final long[] slabs; // [groups]
  private final SlabLayout[] layouts; // [groups]
  private Arena stagingArena = Arena.ofShared();
  private MemorySegment staging = stagingArena.allocate(JAVA_INT, 1);
  private final DecoderSpec spec;
  private final int maxRows;
  private long captureAt;
  private long captureBytes;
  private @Nullable NativeForms forms;
  private final NativeMass massMemory;
  private boolean closed;

  NativeDecoder(Kernels kernels, DecoderSpec spec, SlabLayout[] layouts, SessionLimits limits) {
    this.library = kernels.library;
    this.functions = new DecoderFunctions(library);
    this.layouts = layouts;
    this.spec = spec;
    this.maxRows = limits.rows();
    this.slabs = new long[layouts.length];
    address = functions.create(spec.layers().size(), layouts.length, spec.ropes().size());
    massMemory = new NativeMass(library, address, spec);
    try {
      functions.shape(address, spec);
      for (int layer = 0; layer < spec.layers().size(); layer++) {
        DecoderSpec.Layer shape = spec.layers().get(layer);
        functions.layer(address, layer, shape.group(), shape.indexInGroup(), shape.rope());
      }
      for (int group = 0; group < layouts.length; group++) {
        addGroup(group, layouts[group], limits.slabs()[group]);
      }
      for (int rope = 0; rope < spec.ropes().size(); rope++) {
        functions.rope(address, rope, spec.ropes().get(rope));
      }
    } catch (Throwable e) {
      close();
      throw e;
    }
  }

  private void addGroup(int index, SlabLayout layout, int count) {
    LayerGroup group = layout.group();
    long bytes = Math.max(1, Math.multiplyExact(layout.slabBytes(), (long) count));
    slabs[index] = reserve(bytes, count + " slabs of layer group " + index);
    functions.group(address, index, slabs[index], layout, group.window(), group.sinkTokens());
  }

  /// Zeroed memory that lives as long as the decoder, aligned to a page.
  long reserve(long bytes, String what) {
    long at = library.reserve(bytes, what);
    regions.add(new Region(at, bytes));
    return at;
  }

  void matrix(WeightRole role, int layer, int kind, int rows, int columns, long data) {
    functions.matrix(address, layer, role, kind, rows, columns, data);
  }

  void vector(WeightRole role, int layer, long data) {
    functions.vector(address, layer, role, data);
  }

  /// Packs rows of a matrix that was announced, from `firstRow`, a multiple of 32, on.
  void pack(WeightRole role, int layer, long source, long firstRow, long rows) {
    functions.pack(address, layer, role, source, firstRow, rows);
  }

  /// Allocates what steps need.
  ///
  /// @return bytes
  long ready(int threads, SessionLimits limits, int maxPositions) {
    return functions.ready(
        address, threads, limits.rows(), limits.logitRows(), limits.sequences(), maxPositions);
  }

  /// Announces cooled forms, once, after [#ready].
  ///
  /// @return bytes of scratch, and of the copies of their codes
  /// @throws UnsupportedOperationException if the kernels do not read one of the formats
  long cool(CooledForms cooled) {
    forms = new NativeForms(library, address, spec, layouts, cooled, this::reserve);
    return forms.bytes();
  }

  /// Copies a batch that was checked.
  void batch(StepBatch batch) {
    int ints = batch.rows() + 2 * batch.sequences() + 1 + batch.logitRows().length;
    for (StepBatch.BlockTables tables : batch.tables()) {
      ints =
          Math.addExact(
              ints,
              tables.starts().length
                  + tables.firstBlocks().length
                  + tables.sinkBlocks().length
                  + tables.refs().length);
    }
    room(Math.addExact(ints, NativeForms.ints(batch)));
    var upload = new Upload();
    for (int group = 0; group < batch.tables().length; group++) {
      StepBatch.BlockTables tables = batch.tables()[group];
      functions.tables(
          address,
          group,
          upload.put(tables.starts()),
          upload.put(tables.firstBlocks()),
          upload.put(tables.sinkBlocks()),
          upload.put(tables.refs()));
    }
    if (forms != null) {
      forms.batch(batch, upload::put);
    }
    massMemory.prepare(batch);
    functions.batch(
        address,
        batch.rows(),
        batch.sequences(),
        batch.logitRows().length,
        upload.put(batch.tokenIds()),
        upload.put(batch.rowStarts()),
        upload.put(batch.firstPositions()),
        upload.put(batch.logitRows()));
  }

  private void room(int ints) {
    if (staging.byteSize() < 4L * ints) {
      stagingArena.close();
      stagingArena = Arena.ofShared();
      staging = stagingArena.allocate(JAVA_INT, 2L * ints);
    }
  }

  private final class Upload {
    private long used;

    long put(int[] values) {
      MemorySegment.copy(values, 0, staging, JAVA_INT, used, values.length);
      long at = staging.address() + used;
      used += 4L * values.length;
      return at;
    }
  }

  long address() {
    return address;
  }

  /// Address of a row of logits.
  long logits(int row) {
    return functions.logits(address) + functions.logitStride(address) * row * Float.BYTES;
  }

  /// Rows of `{ q, k, v }`, each part padded to 32 floats.
  long qkv() {
    return functions.qkv(address);
  }

  /// Rows of the heads' outputs, padded to 32 floats.
  long mixed() {
    return functions.mixed(address);
  }

  /// Whether the following steps leave their rows' queries, keys and values for [#captured].
  void capture(boolean on) {
    if (on && captureBytes == 0) {
      captureBytes = Math.multiplyExact(rowVectors() * maxRows, 4L * spec.layers().size());
      captureAt = reserve(captureBytes, "the captured vectors of " + maxRows + " rows");
    }
    functions.capture(address, on ? captureAt : 0);
    if (!on && captureBytes > 0) {
      library.discard(captureAt, captureBytes);
    }
  }

  /// Floats that are captured of a row, in each layer.
  private long rowVectors() {
    return (spec.heads() + 2L * spec.kvHeads()) * spec.headDim();
  }

  /// Hands over what the last step, of `rows` rows, has left.
  void captured(int rows, RowCapture listener) {
    var vectors = new float[Math.toIntExact(rows * rowVectors())];
    long stride = 4 * maxRows * rowVectors();
    MemorySegment all = MemorySegment.ofAddress(captureAt).reinterpret(captureBytes);
    for (int layer = 0; layer < spec.layers().size(); layer++) {
      MemorySegment.copy(all, JAVA_FLOAT, layer * stride, vectors, 0, vectors.length);
      listener.layer(layer, vectors);
    }
  }

  /// What the last step has measured of its attention.
  AttentionMass mass(StepBatch batch) {
    var mass = new AttentionMass(batch, spec.kvHeads());
    massMemory.read(batch, mass);
    return mass;
  }

  /// What coding and reading tiles has taken so far. Between steps.
  List<CodecStats> codecStats() {
    return forms == null ? List.of() : forms.stats();
  }

  /// Looks at what a step's coolings have made, now and then.
  void observe(List<StepBatch.Coolings> coolings) {
    if (forms != null) {
      forms.observe(coolings, (group, ref) -> slab(group, BlockRef.EXACT, BlockRef.slab(ref)));
    }
  }

  /// The memory of a slab of a form.
  MemorySegment slab(int group, int form, int slab) {
    if (form > 0 && forms != null) {
      return forms.slab(group, form, slab);
    }
    long bytes = layouts[group].slabBytes();
    return MemorySegment.ofAddress(slabs[group] + slab * bytes).reinterpret(bytes);
  }

  /// Frees the workers that wait for one that failed.
  void breakStep() {
    functions.breakStep(address);
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    functions.free(address);
    for (Region region : regions) {
      library.release(region.address, region.bytes);
    }
    stagingArena.close();
    massMemory.close();
  }
}
