package dev.tessera.kernels.vector;

import dev.tessera.kernels.AttentionMass;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.Dequantizer;
import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.RowCapture;
import dev.tessera.kernels.SampleOutcome;
import dev.tessera.kernels.SampleRequest;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kernels.sampling.HeapLogits;
import dev.tessera.kernels.sampling.Sampler;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// The forward pass of [DecoderSpec]: per layer a handful of phases, each spread over the threads
/// by rows or by panels of outputs.
final class VectorSession implements DecoderSession {

  private final DecoderSpec spec;
  private final VectorWeights weights;
  private final SessionLimits limits;
  private final Parallel parallel;
  private final List<TilePool> tiles; // [groups]
  private final Sampler sampler;
  private final Dequantizer embedding;
  private final PanelProduct[] products; // [workers]
  private final TileAttention[] attentions; // [workers]

  private final Rows x; // the residual stream
  private final Rows normed;
  private final Rows q;
  private final Rows k;
  private final Rows v;
  private final Rows attended;
  private final Rows change; // what a block adds to the residual stream
  private final Rows gate;
  private final Rows up;
  private final Rows last; // rows whose logits are wanted
  private final Rows logits;
  private final float[][] cosines; // [ropes][rows * pairs]
  private final float[][] sines;
  private final int[] sequences; // [rows]
  private final List<float[]> captured = new ArrayList<>(); // [layers]
  private @Nullable AttentionMass mass;
  private @Nullable RowCapture capture;
  private final int[] positions; // [rows]
  private final int[] runStarts; // [runs + 1], rows of one sequence that attend together
  private int runs;
  private CooledForms forms = CooledForms.NONE;
  private List<CooledPool> cooled; // [groups]

  VectorSession(DecoderSpec spec, VectorWeights weights, SessionLimits limits, Parallel parallel) {
    this.spec = spec;
    this.weights = weights;
    this.limits = limits;
    this.parallel = parallel;
    this.tiles =
        spec.kv().groups().stream()
            .map(g -> new TilePool(TilePool.layout(g, spec.kv()), limits.slabs()[g.id()]))
            .toList();
    this.sampler = new Sampler(spec.vocabulary());
    this.embedding = new Dequantizer(weights.embedding());
    this.products =
        IntStream.range(0, parallel.threads())
            .mapToObj(i -> new PanelProduct())
            .toArray(PanelProduct[]::new);
    this.attentions =
        IntStream.range(0, parallel.threads())
            .mapToObj(i -> new TileAttention(spec.headDim()))
            .toArray(TileAttention[]::new);
    int rows = limits.rows();
    x = new Rows(rows, spec.hidden());
    normed = new Rows(rows, spec.hidden());
    q = new Rows(rows, spec.heads() * spec.headDim());
    k = new Rows(rows, spec.kvHeads() * spec.headDim());
    v = new Rows(rows, spec.kvHeads() * spec.headDim());
    attended = new Rows(rows, spec.heads() * spec.headDim());
    change = new Rows(rows, spec.hidden());
    gate = new Rows(rows, spec.feedForward());
    up = new Rows(rows, spec.feedForward());
    last = new Rows(0, spec.hidden());
    logits = new Rows(0, spec.vocabulary());
    cosines = new float[spec.ropes().size()][];
    sines = new float[spec.ropes().size()][];
    for (int rope = 0; rope < cosines.length; rope++) {
      int angles = rows * spec.ropes().get(rope).frequencies().length;
      cosines[rope] = new float[angles];
      sines[rope] = new float[angles];
    }
    sequences = new int[rows];
    positions = new int[rows];
    runStarts = new int[rows + 1];
    cooled = pools(tiles, forms);
  }

  private static List<CooledPool> pools(List<TilePool> tiles, CooledForms forms) {
    return IntStream.range(0, tiles.size())
        .mapToObj(group -> new CooledPool(forms, group, tiles.get(group)))
        .toList();
  }

  @Override
  public DecoderSpec spec() {
    return spec;
  }

  @Override
  public long weightBytes() {
    return weights.bytes();
  }

  @Override
  public long scratchBytes() {
    long bytes = 0;
    for (Rows rows : List.of(x, normed, q, k, v, attended, change, gate, up, last, logits)) {
      bytes += rows.bytes();
    }
    for (float[] angles : cosines) {
      bytes += 2L * Float.BYTES * angles.length;
    }
    for (CooledPool pool : cooled) {
      bytes += pool.turnBytes();
    }
    return bytes;
  }

  @Override
  public void submit(StepBatch batch) {
    batch.require(spec, limits, forms);
    mass = batch.measuresMass() ? new AttentionMass(batch, spec.kvHeads()) : null;
    int rows = batch.rows();
    place(batch);
    embed(batch.tokenIds());
    for (int layer = 0; layer < spec.layers().size(); layer++) {
      VectorWeights.Layer w = weights.layers().get(layer);
      norm(rows, x, w.attentionNorm());
      multiply(
          rows,
          normed,
          new Product(w.query(), q),
          new Product(w.key(), k),
          new Product(w.value(), v));
      attend(batch, layer, w);
      multiply(rows, attended, new Product(w.attentionOutput(), change));
      addChange(rows, w.postAttentionNorm());

      norm(rows, x, w.feedForwardNorm());
      multiply(rows, normed, new Product(w.gate(), gate), new Product(w.up(), up));
      parallel.forEach(
          rows,
          (worker, row) ->
              RowMath.gated(gate.x(), up.x(), gate.at(row), gate.stride(), spec.activation()));
      multiply(rows, gate, new Product(w.down(), change));
      addChange(rows, w.postFeedForwardNorm());
    }
    project(batch.logitRows());
  }

  /// Which sequence and position each row is, and its angles.
  private void place(StepBatch batch) {
    runs = 0;
    for (int sequence = 0; sequence < batch.sequences(); sequence++) {
      int first = batch.rowStarts()[sequence];
      for (int row = first; row < batch.rowStarts()[sequence + 1]; row++) {
        sequences[row] = sequence;
        positions[row] = batch.firstPositions()[sequence] + row - first;
        if ((row - first) % TileAttention.ROWS == 0) {
          runStarts[runs++] = row;
        }
      }
    }
    runStarts[runs] = batch.rows();
    for (int rope = 0; rope < cosines.length; rope++) {
      RopeSpec shape = spec.ropes().get(rope);
      float[] cos = cosines[rope];
      float[] sin = sines[rope];
      int pairs = shape.frequencies().length;
      parallel.forEach(
          batch.rows(),
          (worker, row) -> RowMath.angles(shape, positions[row], cos, sin, row * pairs));
    }
  }

  private void embed(int[] tokenIds) {
    var values = new float[spec.hidden()];
    for (int row = 0; row < tokenIds.length; row++) {
      embedding.row(tokenIds[row], values);
      for (int i = 0; i < values.length; i++) {
        x.x()[x.at(row) + i] = values[i] * spec.embeddingScale();
      }
    }
  }

  private void norm(int rows, Rows source, float[] weight) {
    parallel.forEach(
        rows,
        (worker, row) ->
            RowMath.rmsNorm(
                source.x(),
                source.at(row),
                weight,
                spec.normEpsilon(),
                normed.x(),
                normed.at(row)));
  }

  private record Product(PackedMatrix matrix, Rows y) {}

  /// Several products of the same activations, as one phase.
  private void multiply(int rows, Rows input, Product... products) {
    int panels = 0;
    for (Product product : products) {
      panels += product.matrix.panels();
    }
    parallel.forEach(
        panels,
        (worker, unit) -> {
          int panel = unit;
          int index = 0;
          while (panel >= products[index].matrix.panels()) {
            panel -= products[index++].matrix.panels();
          }
          Rows y = products[index].y;
          this.products[worker].multiply(
              products[index].matrix, panel, input.x(), input.stride(), rows, y.x(), y.stride());
        });
  }

  private void attend(StepBatch batch, int layer, VectorWeights.Layer w) {
    DecoderSpec.Layer shape = spec.layers().get(layer);
    LayerGroup group = spec.kv().groups().get(shape.group());
    TilePool pool = tiles.get(shape.group());
    StepBatch.BlockTables tables = batch.tables()[shape.group()];
    parallel.forEach(
        batch.rows(),
        (worker, row) -> {
          finishHeads(q, row, spec.heads(), w.queryBias(), w.queryNorm(), shape.rope());
          finishHeads(k, row, spec.kvHeads(), w.keyBias(), w.keyNorm(), shape.rope());
          addBias(v, row, w.valueBias());
          int ref = tables.ref(sequences[row], positions[row] / TileShape.BLOCK_TOKENS);
          for (int head = 0; head < spec.kvHeads(); head++) {
            int first = k.at(row) + head * spec.headDim();
            pool.store(ref, shape.indexInGroup(), head, positions[row], k.x(), v.x(), first);
          }
        });
    var context =
        new TileAttention.Layer(
            pool,
            cooled.get(shape.group()),
            tables,
            group,
            shape.indexInGroup(),
            spec.attentionScale(),
            spec.attentionSoftCap(),
            mass);
    if (capture != null) {
      captured.add(captured(batch.rows()));
    }
    StepBatch.Coolings coolings = batch.coolings().get(shape.group());
    if (coolings.count() > 0) {
      parallel.forEach(
          spec.kvHeads(),
          (worker, head) -> {
            for (int i = 0; i < coolings.count(); i++) {
              context
                  .cooled()
                  .cool(
                      shape.indexInGroup(),
                      head,
                      coolings.blocks()[i],
                      coolings.from()[i],
                      coolings.to()[i]);
            }
          });
    }
    // The heads of a unit share the tiles of one KV head, which stay in the first cache.
    int shared = spec.queriesPerKvHead();
    parallel.forEach(
        runs * spec.kvHeads(),
        (worker, unit) -> {
          int row = runStarts[unit / spec.kvHeads()];
          int kvHead = unit % spec.kvHeads();
          attentions[worker].attend(
              context,
              sequences[row],
              positions[row],
              runStarts[unit / spec.kvHeads() + 1] - row,
              kvHead,
              shared,
              q.x(),
              attended.x(),
              q.at(row) + kvHead * shared * spec.headDim(),
              q.stride());
        });
  }

  /// The layout of [RowCapture#layer].
  private float[] captured(int rows) {
    int queries = spec.heads() * spec.headDim();
    int keys = spec.kvHeads() * spec.headDim();
    var vectors = new float[rows * (queries + 2 * keys)];
    for (int row = 0; row < rows; row++) {
      int at = row * (queries + 2 * keys);
      for (int i = 0; i < queries; i++) {
        vectors[at + i] = q.x()[q.at(row) + i] * spec.attentionScale();
      }
      System.arraycopy(k.x(), k.at(row), vectors, at + queries, keys);
      System.arraycopy(v.x(), v.at(row), vectors, at + queries + keys, keys);
    }
    return vectors;
  }

  /// Bias, norm and rotation of a row's query or key heads.
  private void finishHeads(
      Rows heads, int row, int count, float @Nullable [] bias, float @Nullable [] norm, int rope) {
    addBias(heads, row, bias);
    RopeSpec shape = spec.ropes().get(rope);
    int angles = row * shape.frequencies().length;
    for (int head = 0; head < count; head++) {
      int at = heads.at(row) + head * spec.headDim();
      if (norm != null) {
        RowMath.rmsNorm(heads.x(), at, norm, spec.normEpsilon(), heads.x(), at);
      }
      RowMath.rotate(heads.x(), at, shape, cosines[rope], sines[rope], angles);
    }
  }

  private static void addBias(Rows rows, int row, float @Nullable [] bias) {
    if (bias != null) {
      RowMath.add(rows.x(), rows.at(row), bias, 0, bias.length);
    }
  }

  private void addChange(int rows, float @Nullable [] norm) {
    parallel.forEach(
        rows,
        (worker, row) -> {
          int at = change.at(row);
          if (norm != null) {
            RowMath.rmsNorm(change.x(), at, norm, spec.normEpsilon(), change.x(), at);
          }
          RowMath.add(x.x(), at, change.x(), at, spec.hidden());
        });
  }

  private void project(int[] logitRows) {
    int rows = logitRows.length;
    last.reserve(rows);
    logits.reserve(rows);
    for (int i = 0; i < rows; i++) {
      RowMath.rmsNorm(
          x.x(),
          x.at(logitRows[i]),
          weights.outputNorm(),
          spec.normEpsilon(),
          last.x(),
          last.at(i));
    }
    multiply(rows, last, new Product(weights.output(), logits));
    if (spec.logitSoftCap() != 0) {
      parallel.forEach(
          rows,
          (worker, row) ->
              RowMath.softCap(logits.x(), logits.at(row), logits.stride(), spec.logitSoftCap()));
    }
  }

  @Override
  public void await() {
    RowCapture listener = capture;
    for (int layer = 0; listener != null && layer < captured.size(); layer++) {
      listener.layer(layer, captured.get(layer));
    }
    captured.clear();
  }

  @Override
  public AttentionMass attentionMass() {
    return AttentionMass.required(mass);
  }

  @Override
  public void capture(@Nullable RowCapture capture) {
    this.capture = capture;
  }

  @Override
  public List<SampleOutcome> sample(List<SampleRequest> requests) {
    var outcomes = new ArrayList<SampleOutcome>(requests.size());
    for (SampleRequest request : requests) {
      var row = new HeapLogits(logits.x(), logits.at(request.logitRow()), spec.vocabulary());
      outcomes.add(sampler.sample(row, request));
    }
    return outcomes;
  }

  @Override
  public void readLogits(int logitRow, float[] destination) {
    System.arraycopy(logits.x(), logits.at(logitRow), destination, 0, spec.vocabulary());
  }

  @Override
  public void cool(CooledForms forms) {
    forms.requireFirst(this.forms, spec);
    this.forms = forms;
    cooled = pools(tiles, forms);
  }

  @Override
  public void readSlab(int group, int form, int slab, MemorySegment bytes) {
    bytes.copyFrom(slab(group, form, slab));
  }

  @Override
  public void writeSlab(int group, int form, int slab, MemorySegment bytes) {
    slab(group, form, slab).copyFrom(bytes);
  }

  private MemorySegment slab(int group, int form, int slab) {
    int ref = BlockRef.of(form, slab);
    return form == BlockRef.EXACT ? tiles.get(group).slab(ref) : cooled.get(group).slab(ref);
  }

  @Override
  public void discard(int group, int form, int slab) {
    if (form == BlockRef.EXACT) {
      tiles.get(group).discard(slab);
    } else {
      cooled.get(group).discard(form, slab);
    }
  }

  @Override
  public void close() {
    weights.arena().close();
  }
}
