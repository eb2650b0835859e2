package dev.tessera.server.engine;

import dev.tessera.kernels.AttentionMass;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.SampleOutcome;
import dev.tessera.kernels.SampleRequest;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.CoolingRule;
import dev.tessera.kvcache.KvGeometry;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.SlabTransfer;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// A model whose next token is a hash of everything that its windows let it see, read slot by slot
/// through the block tables: a wrong, missing or overwritten block changes the output.
final class FakeModelRunner implements ModelRunner {
  static final int VOCABULARY = 50;

  private final KvGeometry geometry;
  private final CoolingRule rule;
  private final boolean byTemperature;
  private final Map<Long, long[]> slabs = new HashMap<>(); // group, form and slab -> [64]
  private final List<long[]> copies = new ArrayList<>(); // of slabs that were read
  private long[] logits = new long[0]; // what each logits row's token hangs on
  int maxRows = Integer.MAX_VALUE;
  int maxLogitRows = Integer.MAX_VALUE;
  long nanosPerStep = 1_000_000;
  long nanosPerRow = 100_000;
  long nanos;
  boolean closed;
  long cooled;
  int readForms; // the coolest form that a table has named
  long rowless; // steps that only cooled
  private long steps;
  StepBatch lastBatch;

  FakeModelRunner(KvGeometry geometry, CoolingRule rule) {
    this(geometry, rule, false);
  }

  /// @param byTemperature whether tables name the forms; then these do not show in the output, so
  ///   that it can be foretold
  FakeModelRunner(KvGeometry geometry, CoolingRule rule, boolean byTemperature) {
    this.geometry = geometry;
    this.rule = rule;
    this.byTemperature = byTemperature;
  }

  @Override
  public List<SampleOutcome> run(StepBatch batch, List<SampleRequest> requests) {
    lastBatch = batch;
    steps++;
    rowless += batch.rows() == 0 ? 1 : 0;
    nanos += nanosPerStep + nanosPerRow * batch.rows();
    check(batch.rows() > 0 || byTemperature, "nothing to compute");
    check(batch.rows() <= maxRows, batch.rows() + " rows");
    check(batch.logitRows().length <= maxLogitRows, batch.logitRows().length + " logits rows");
    check(batch.logitRows().length == requests.size(), requests.size() + " requests");
    for (int s = 0; s < batch.sequences(); s++) {
      store(batch, s);
    }
    for (int group = 0; group < batch.coolings().size(); group++) {
      cool(group, batch.coolings().get(group));
    }
    logits = new long[batch.logitRows().length];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = read(batch, batch.logitRows()[i]);
    }
    List<SampleOutcome> outcomes = new ArrayList<>();
    for (SampleRequest request : requests) {
      outcomes.add(choose(logits[request.logitRow()], request));
    }
    return outcomes;
  }

  private void store(StepBatch batch, int s) {
    for (int row = batch.rowStarts()[s]; row < batch.rowStarts()[s + 1]; row++) {
      int position = batch.firstPositions()[s] + row - batch.rowStarts()[s];
      for (LayerGroup group : geometry.groups()) {
        long[] slab =
            slabs.computeIfAbsent(slabKey(batch, s, group, position, 0), key -> new long[64]);
        slab[position % 64] = slot(batch.tokenIds()[row], position);
      }
    }
  }

  private void cool(int group, StepBatch.Coolings coolings) {
    for (int i = 0; i < coolings.count(); i++) {
      long[] from = slabs.get(key(group, coolings.from()[i]));
      check(from != null, "block " + coolings.blocks()[i] + " cools from nothing");
      slabs.put(key(group, coolings.to()[i]), from.clone());
      cooled++;
    }
  }

  private long read(StepBatch batch, int row) {
    int s = 0;
    while (batch.rowStarts()[s + 1] <= row) {
      s++;
    }
    int last = batch.firstPositions()[s] + row - batch.rowStarts()[s];
    long hash = 1;
    for (LayerGroup group : geometry.groups()) {
      for (int position = 0; position <= last; position++) {
        if (sees(group, last, position)) {
          int form = form(rule, group, last, position);
          if (byTemperature) {
            form = named(batch, s, group, position);
          }
          long[] slab = slabs.get(slabKey(batch, s, group, position, form));
          check(slab != null, "position " + position + " was never written");
          hash = mix(hash, coded(slab[position % 64], byTemperature ? 0 : form));
        }
      }
    }
    return hash;
  }

  /// The form that a table names.
  private int named(StepBatch batch, int s, LayerGroup group, int position) {
    int form = batch.tables()[group.id()].form(CooledForms.NONE, group.id(), s, 0, position / 64);
    check(
        form <= form(rule, group, batch.firstPositions()[s], position),
        "position " + position + " is too young for form " + form);
    readForms = Math.max(readForms, form);
    return form;
  }

  /// Every group's attention, made up.
  @Override
  public AttentionMass attentionMass() {
    check(lastBatch.measuresMass(), "attention was not measured");
    var mass = new AttentionMass(lastBatch, 1);
    for (LayerGroup group : geometry.groups()) {
      float[] shares = mass.shares(group.id(), 0);
      for (int i = 0; shares != null && i < shares.length; i++) {
        shares[i] = Math.floorMod(mix(steps, i), 1000) / 1000f;
      }
    }
    return mass;
  }

  private static boolean sees(LayerGroup group, int query, int position) {
    return group.isFull() || position > query - group.window() || position < group.sinkTokens();
  }

  private static int form(CoolingRule rule, LayerGroup group, int query, int position) {
    return group.isFull() ? rule.form(query / 64, position / 64) : 0;
  }

  /// What a slot reads as in a form: nothing that is coded is quite what it was.
  private static long coded(long slot, int form) {
    return form == 0 ? slot : mix(slot, form);
  }

  private static long slabKey(StepBatch batch, int s, LayerGroup group, int position, int form) {
    StepBatch.BlockTables tables = batch.tables()[group.id()];
    int block = position / 64;
    int sinks = tables.sinkBlocks()[s];
    int entry = block < sinks ? block : block - tables.firstBlocks()[s] + sinks;
    check(
        entry >= 0 && entry < tables.starts()[s + 1] - tables.starts()[s],
        "block " + block + " of sequence " + s + " is not in its table");
    int ref = tables.ref(s, block, form);
    check(ref != BlockRef.NONE, "block " + block + " is not there in form " + form);
    check(BlockRef.form(ref) == form, "block " + block + " is there in another form");
    return key(group.id(), ref);
  }

  private static long key(int group, int ref) {
    return (long) group << 32 | ref & 0xFFFFFFFFL;
  }

  /// The same, from the tokens alone: the oracle.
  static long read(KvGeometry geometry, CoolingRule rule, int[] tokens, int last) {
    long hash = 1;
    for (LayerGroup group : geometry.groups()) {
      for (int position = 0; position <= last; position++) {
        if (sees(group, last, position)) {
          int form = form(rule, group, last, position);
          hash = mix(hash, coded(slot(tokens[position], position), form));
        }
      }
    }
    return hash;
  }

  private static long slot(int token, int position) {
    return mix(token + 1, position + 1);
  }

  static long mix(long a, long b) {
    long z = (a ^ Long.rotateLeft(b, 32)) * 0xBF58476D1CE4E5B9L + b;
    return (z ^ (z >>> 29)) * 0x94D049BB133111EBL;
  }

  /// A token that hangs on the logits and on every part of the request that a sampler would heed.
  static SampleOutcome choose(long logits, SampleRequest request) {
    if (Math.floorMod(logits, 4_001L) == 0) {
      return new SampleOutcome.Broken("the logits hold NaN");
    }
    float logprob = -(logits >>> 40) / 1e4f;
    if (request.scoredToken() >= 0) {
      return new SampleOutcome.Chosen(request.scoredToken(), logprob, 1, new int[0], new float[0]);
    }
    long hash = logits;
    if (request.temperature() > 0) {
      hash = mix(hash, Double.doubleToLongBits(request.uniform()));
    }
    SampleRequest.Penalties penalties = request.penalties();
    if (penalties != null) {
      long counts = 0;
      for (int i = 0; i < penalties.tokens().length; i++) {
        counts += mix(penalties.tokens()[i] + 7, penalties.outputCounts()[i] + 3);
      }
      hash = mix(hash, counts);
    }
    int token = (int) Math.floorMod(hash, (long) VOCABULARY);
    while (isBanned(token, request)) {
      token = (token + 1) % VOCABULARY;
    }
    return new SampleOutcome.Chosen(token, logprob, 1, new int[0], new float[0]);
  }

  private static boolean isBanned(int token, SampleRequest request) {
    for (int i = 0; i < request.biasTokens().length; i++) {
      if (request.biasTokens()[i] == token && request.biasValues()[i] == Float.NEGATIVE_INFINITY) {
        return true;
      }
    }
    return false;
  }

  /// The bytes of a slab are but a number under which its content is on record.
  @Override
  public SlabTransfer slabs() {
    return new SlabTransfer() {
      @Override
      public void readSlab(int group, int form, int slab, MemorySegment bytes) {
        long[] content = slabs.get(key(group, BlockRef.of(form, slab)));
        check(content != null, "slab " + slab + " of form " + form + " was never written");
        bytes.set(ValueLayout.JAVA_INT_UNALIGNED, 0, copies.size());
        copies.add(content.clone());
      }

      @Override
      public void writeSlab(int group, int form, int slab, MemorySegment bytes) {
        long[] content = copies.get(bytes.get(ValueLayout.JAVA_INT_UNALIGNED, 0));
        slabs.put(key(group, BlockRef.of(form, slab)), content.clone());
      }
    };
  }

  @Override
  public void discard(int group, int form, int slab) {
    slabs.remove(key(group, BlockRef.of(form, slab)));
  }

  @Override
  public void close() {
    closed = true;
  }

  private static void check(boolean condition, String what) {
    if (!condition) {
      throw new AssertionError(what);
    }
  }
}
