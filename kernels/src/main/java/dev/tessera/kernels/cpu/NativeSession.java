package dev.tessera.kernels.cpu;

import dev.tessera.kernels.AttentionMass;
import dev.tessera.kernels.CodecStats;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.RowCapture;
import dev.tessera.kernels.SampleOutcome;
import dev.tessera.kernels.SampleRequest;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kernels.cpu.NativeLibrary.Kernels;
import dev.tessera.kernels.sampling.Sampler;
import dev.tessera.kvcache.SlabLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.DoubleConsumer;
import org.jspecify.annotations.Nullable;

/// A decoder whose steps a team of workers computes in C, one call per worker and step.
final class NativeSession implements DecoderSession {

  private final Kernels kernels;
  private final WorkerTeam team;
  private final DecoderSpec spec;
  private final SessionLimits limits;
  private final NativeDecoder decoder;
  private final Arena arena = Arena.ofShared();
  private final Sampler[] samplers; // [threads]
  private final NativeLogits[] rows; // [threads]
  private final WorkerTeam.Work step = this::step;
  private final long weightBytes;
  private long scratchBytes;
  private CooledForms forms = CooledForms.NONE;
  private @Nullable RowCapture capture;
  private int stepRows;
  private int logitRows;
  private List<StepBatch.Coolings> coolings = List.of();
  private @Nullable StepBatch measured; // the last step, if its attention was to be measured
  private boolean isStepping;
  private volatile boolean isBroken;
  private boolean isClosed;

  NativeSession(
      Kernels kernels,
      WorkerTeam team,
      DecoderSpec spec,
      DecoderWeights weights,
      SlabLayout[] slabs,
      SessionLimits limits,
      DoubleConsumer progress) {
    this.kernels = kernels;
    this.team = team;
    this.spec = spec;
    this.limits = limits;
    decoder = new NativeDecoder(kernels, spec, slabs, limits);
    try {
      weightBytes = new WeightPacking(kernels.library, decoder, spec, weights).run(team, progress);
      samplers = new Sampler[team.threads()];
      rows = new NativeLogits[team.threads()];
      for (int worker = 0; worker < team.threads(); worker++) {
        samplers[worker] = new Sampler(spec.vocabulary());
        rows[worker] = new NativeLogits(kernels, spec.vocabulary(), arena);
      }
      scratchBytes =
          decoder.ready(team.threads(), limits, spec.maxPositions())
              + team.threads() * NativeLogits.scratchBytes(spec.vocabulary());
    } catch (Throwable e) {
      decoder.close();
      arena.close();
      throw e;
    }
  }

  @Override
  public DecoderSpec spec() {
    return spec;
  }

  @Override
  public long weightBytes() {
    return weightBytes;
  }

  @Override
  public long scratchBytes() {
    return scratchBytes;
  }

  @Override
  public void submit(StepBatch batch) {
    requireIdle();
    batch.require(spec, limits, forms);
    decoder.batch(batch);
    stepRows = batch.rows();
    logitRows = batch.logitRows().length;
    coolings = batch.coolings();
    measured = batch.measuresMass() ? batch : null;
    isStepping = true;
    team.start(step);
  }

  private void step(int worker) {
    boolean isComplete = false;
    try {
      isComplete = kernels.step(decoder.address(), worker);
    } finally {
      if (!isComplete) {
        isBroken = true;
        decoder.breakStep();
      }
    }
  }

  @Override
  public void await() {
    if (isStepping) {
      isStepping = false;
      team.finish(step);
      requireWhole();
      if (capture != null) {
        decoder.captured(stepRows, capture);
      }
      decoder.observe(coolings);
    }
  }

  /// Requests for the same row are one worker's, because a sampler edits the row while it reads it.
  @Override
  public List<SampleOutcome> sample(List<SampleRequest> requests) {
    requireIdle();
    var order = new Integer[requests.size()];
    Arrays.setAll(order, i -> i);
    Arrays.sort(order, Comparator.comparingInt(i -> requests.get(i).logitRow()));
    var outcomes = new @Nullable SampleOutcome[order.length];
    WorkerTeam.Work work = shareOf(requests, order, outcomes);
    if (order.length == 1) {
      work.run(0);
    } else if (order.length > 1) {
      team.run(work);
    }
    return Arrays.stream(outcomes).map(Objects::requireNonNull).toList();
  }

  private WorkerTeam.Work shareOf(
      List<SampleRequest> requests, Integer[] order, @Nullable SampleOutcome[] outcomes) {
    for (SampleRequest request : requests) {
      Objects.checkIndex(request.logitRow(), logitRows);
    }
    var next = new AtomicInteger();
    return worker -> {
      for (int i; (i = next.getAndIncrement()) < order.length; ) {
        int row = requests.get(order[i]).logitRow();
        if (i > 0 && requests.get(order[i - 1]).logitRow() == row) {
          continue;
        }
        NativeLogits logits = rows[worker].at(decoder.logits(row));
        for (int j = i; j < order.length && requests.get(order[j]).logitRow() == row; j++) {
          outcomes[order[j]] = samplers[worker].sample(logits, requests.get(order[j]));
        }
      }
    };
  }

  @Override
  public void readLogits(int logitRow, float[] destination) {
    requireIdle();
    Objects.checkIndex(logitRow, logitRows);
    rows[0].at(decoder.logits(logitRow)).copyTo(destination);
  }

  @Override
  public AttentionMass attentionMass() {
    requireIdle();
    StepBatch batch = measured;
    return AttentionMass.required(batch == null ? null : decoder.mass(batch));
  }

  @Override
  public void capture(@Nullable RowCapture capture) {
    requireIdle();
    this.capture = capture;
    decoder.capture(capture != null);
  }

  @Override
  public void cool(CooledForms forms) {
    requireIdle();
    forms.requireFirst(this.forms, spec);
    if (!forms.groups().isEmpty()) {
      scratchBytes += decoder.cool(forms);
      this.forms = forms;
    }
  }

  @Override
  public List<CodecStats> codecStats() {
    requireIdle();
    return decoder.codecStats();
  }

  @Override
  public void readSlab(int group, int form, int slab, MemorySegment bytes) {
    requireIdle();
    bytes.copyFrom(slab(group, form, slab));
  }

  @Override
  public void writeSlab(int group, int form, int slab, MemorySegment bytes) {
    requireIdle();
    slab(group, form, slab).copyFrom(bytes);
  }

  @Override
  public void discard(int group, int form, int slab) {
    MemorySegment memory = slab(group, form, slab);
    kernels.library.discard(memory.address(), memory.byteSize());
  }

  private MemorySegment slab(int group, int form, int slab) {
    int slabs = form == 0 ? limits.slabs()[group] : forms.of(group).get(form - 1).slabs();
    Objects.checkIndex(slab, slabs);
    return decoder.slab(group, form, slab);
  }

  private void requireWhole() {
    if (isBroken) {
      throw new IllegalStateException("a worker failed in an earlier step");
    }
  }

  private void requireIdle() {
    requireWhole();
    if (isStepping) {
      throw new IllegalStateException("a step is under way");
    }
    if (isClosed) {
      throw new IllegalStateException("the session is closed");
    }
  }

  @Override
  public void close() {
    if (isClosed) {
      return;
    }
    try {
      await();
    } finally {
      isClosed = true;
      decoder.close();
      arena.close();
    }
  }
}
