package dev.tessera.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.tessera.kernels.AttentionProblem;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.Primitives;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.Shapes;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.cpu.NativeLibrary.Kernels;
import dev.tessera.kvcache.KvGeometry;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.SlabLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/// The kernels of a step, one by one.
final class NativePrimitives implements Primitives {

  private static final int UNROTATED = -1;

  private final Kernels kernels;
  private final WorkerTeam team;

  NativePrimitives(Kernels kernels, WorkerTeam team) {
    this.kernels = kernels;
    this.team = team;
  }

  @Override
  public float[] attend(AttentionProblem problem, CooledForms forms) {
    var limits = new SessionLimits(problem.context(), 0, 1, new int[] {problem.blocks()});
    DecoderSpec spec = specOf(problem);
    SlabLayout[] slabs = NativeBackend.slabs(spec.kv());
    try (var decoder = new NativeDecoder(kernels, spec, slabs, limits)) {
      decoder.ready(team.threads(), limits, problem.context());
      int cached = problem.context() - problem.queries();
      if (cached > 0) {
        attend(decoder, problem, CooledForms.NONE, 0, cached);
      }
      if (!forms.of(0).isEmpty()) {
        decoder.cool(forms);
      }
      return attend(decoder, problem, forms, cached, problem.queries());
    }
  }

  /// A decoder of one layer without weights.
  private static DecoderSpec specOf(AttentionProblem problem) {
    var group = new LayerGroup(0, List.of(0), problem.window(), problem.sinkTokens());
    var kv = new KvGeometry(List.of(group), 1, problem.kvHeads(), problem.headDim());
    return new DecoderSpec(
        1,
        1,
        problem.heads(),
        problem.kvHeads(),
        problem.headDim(),
        1,
        DecoderSpec.Activation.SILU,
        0,
        1,
        problem.scale(),
        problem.softCap(),
        0,
        List.of(),
        List.of(new DecoderSpec.Layer(0, 0, UNROTATED)),
        kv,
        problem.context());
  }

  private float[] attend(
      NativeDecoder decoder, AttentionProblem problem, CooledForms forms, int first, int rows) {
    decoder.batch(
        new StepBatch(
            new int[rows],
            new int[] {0, rows},
            new int[] {first},
            new StepBatch.BlockTables[] {problem.tables(forms)},
            new int[0],
            List.of(problem.coolings(forms))));

    int width = problem.heads() * problem.headDim();
    int kvWidth = problem.kvHeads() * problem.headDim();
    int stride = padded(width) + 2 * padded(kvWidth);
    MemorySegment qkv = floats(decoder.qkv(), (long) rows * stride);
    int firstQuery = problem.context() - problem.queries();
    for (int row = 0; row < rows; row++) {
      int position = first + row;
      if (position >= firstQuery) {
        copy(problem.q(), (position - firstQuery) * width, width, qkv, (long) row * stride);
      }
      long key = (long) row * stride + padded(width);
      copy(problem.k(), position * kvWidth, kvWidth, qkv, key);
      copy(problem.v(), position * kvWidth, kvWidth, qkv, key + padded(kvWidth));
    }
    team.run(worker -> kernels.attend(decoder.address(), worker));
    var result = new float[rows * width];
    MemorySegment mixed = floats(decoder.mixed(), (long) rows * padded(width));
    for (int row = 0; row < rows; row++) {
      long at = (long) row * padded(width) * Float.BYTES;
      MemorySegment.copy(mixed, JAVA_FLOAT, at, result, row * width, width);
    }
    return result;
  }

  private static int padded(int width) {
    return (width + 31) / 32 * 32;
  }

  private static MemorySegment floats(long address, long count) {
    return MemorySegment.ofAddress(address).reinterpret(count * Float.BYTES);
  }

  private static void copy(float[] from, int first, int count, MemorySegment to, long at) {
    MemorySegment.copy(from, first, to, JAVA_FLOAT, at * Float.BYTES, count);
  }

  @Override
  public float[] multiply(Tensor weights, float[] x, int tokens) {
    Shapes.require("x", x.length, tokens, weights.columns());
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment source = arena.allocate(weights.data().byteSize()).copyFrom(weights.data());
      MemorySegment y = arena.allocate(JAVA_FLOAT, (long) tokens * weights.rows());
      kernels.multiply(
          weights.type().ggmlId(),
          weights.rows(),
          weights.columns(),
          source.address(),
          arena.allocateFrom(JAVA_FLOAT, x).address(),
          tokens,
          y.address());
      return y.toArray(JAVA_FLOAT);
    }
  }

  @Override
  public float[] rmsNorm(float[] x, float[] weight, float epsilon) {
    Shapes.require("x", x.length, x.length / weight.length, weight.length);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment y = arena.allocate(JAVA_FLOAT, x.length);
      kernels.rmsNorm(
          arena.allocateFrom(JAVA_FLOAT, x).address(),
          arena.allocateFrom(JAVA_FLOAT, weight).address(),
          x.length / weight.length,
          weight.length,
          epsilon,
          y.address());
      return y.toArray(JAVA_FLOAT);
    }
  }
}
