package dev.tessera.kernels.scalar;

import static dev.tessera.kernels.DecoderWeights.NO_LAYER;

import dev.tessera.kernels.ActivationFormat;
import dev.tessera.kernels.AttentionMass;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.Dequantizer;
import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.RowCapture;
import dev.tessera.kernels.SampleOutcome;
import dev.tessera.kernels.SampleRequest;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.WeightRole;
import dev.tessera.kernels.codec.CodedProducts;
import dev.tessera.kernels.sampling.HeapLogits;
import dev.tessera.kernels.sampling.Sampler;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.SlabLayout;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The forward pass of [DecoderSpec], line by line.
final class ScalarSession implements DecoderSession {

  private final DecoderSpec spec;
  private final DecoderWeights weights;
  private final SessionLimits limits;
  private final ActivationFormat activations;
  private final CodedProducts products;
  private final Tiles[] tiles; // [groups]
  private final CooledTiles[] cooled; // [groups]
  private final Sampler sampler;
  private final List<float[]> captured = new ArrayList<>(); // [layers]
  private CooledForms forms = CooledForms.NONE;
  private @Nullable RowCapture capture;
  private @Nullable AttentionMass mass;
  private float[] logits = {}; // [logit rows of the last step][vocabulary]

  ScalarSession(
      DecoderSpec spec,
      DecoderWeights weights,
      SessionLimits limits,
      SlabLayout[] slabs,
      ActivationFormat activations,
      CodedProducts products) {
    this.spec = spec;
    this.products = products;
    this.weights = weights;
    this.limits = limits;
    this.activations = activations;
    this.sampler = new Sampler(spec.vocabulary());
    this.tiles = new Tiles[slabs.length];
    for (int group = 0; group < slabs.length; group++) {
      tiles[group] = new Tiles(slabs[group], limits.slabs()[group]);
    }
    this.cooled = new CooledTiles[slabs.length];
    setForms(CooledForms.NONE);
  }

  private void setForms(CooledForms forms) {
    this.forms = forms;
    for (int group = 0; group < tiles.length; group++) {
      cooled[group] = new CooledTiles(forms, group, tiles[group]);
    }
  }

  @Override
  public DecoderSpec spec() {
    return spec;
  }

  /// It reads the weights where the model has them.
  @Override
  public long weightBytes() {
    return 0;
  }

  @Override
  public long scratchBytes() {
    return (long) Float.BYTES * logits.length;
  }

  @Override
  public void submit(StepBatch batch) {
    batch.require(spec, limits, forms);
    mass = batch.measuresMass() ? new AttentionMass(batch, spec.kvHeads()) : null;
    double[] x = embed(batch.tokenIds());
    for (int layer = 0; layer < spec.layers().size(); layer++) {
      double[] attention = norm(x, WeightRole.ATTENTION_NORM, layer);
      attention = attend(batch, layer, attention);
      attention = multiply(attention, WeightRole.ATTENTION_OUTPUT, layer);
      Textbook.add(x, normIfPresent(attention, WeightRole.POST_ATTENTION_NORM, layer));

      double[] feed = norm(x, WeightRole.FEED_FORWARD_NORM, layer);
      double[] gate = multiply(feed, WeightRole.GATE, layer);
      double[] up = multiply(feed, WeightRole.UP, layer);
      feed = multiply(Textbook.gated(gate, up, spec.activation()), WeightRole.DOWN, layer);
      Textbook.add(x, normIfPresent(feed, WeightRole.POST_FEED_FORWARD_NORM, layer));
    }
    logits = project(x, batch.logitRows());
  }

  private double[] embed(int[] tokenIds) {
    int hidden = spec.hidden();
    var embedding = new Dequantizer(weights.required(WeightRole.TOKEN_EMBEDDING, NO_LAYER));
    var row = new float[hidden];
    var x = new double[tokenIds.length * hidden];
    for (int i = 0; i < tokenIds.length; i++) {
      embedding.row(tokenIds[i], row);
      for (int j = 0; j < hidden; j++) {
        x[i * hidden + j] = (double) row[j] * spec.embeddingScale();
      }
    }
    return x;
  }

  /// @return `[rows][heads * headDim]`
  private double[] attend(StepBatch batch, int layer, double[] x) {
    double[] q = multiply(x, WeightRole.QUERY, layer);
    double[] k = multiply(x, WeightRole.KEY, layer);
    double[] v = multiply(x, WeightRole.VALUE, layer);
    Textbook.addBias(q, weights.tensor(WeightRole.QUERY_BIAS, layer));
    Textbook.addBias(k, weights.tensor(WeightRole.KEY_BIAS, layer));
    Textbook.addBias(v, weights.tensor(WeightRole.VALUE_BIAS, layer));
    q = normIfPresent(q, WeightRole.QUERY_NORM, layer);
    k = normIfPresent(k, WeightRole.KEY_NORM, layer);
    for (int sequence = 0; sequence < batch.sequences(); sequence++) {
      store(batch, layer, sequence, q, k, v);
    }
    cool(batch, layer);
    var out = new double[q.length];
    for (int sequence = 0; sequence < batch.sequences(); sequence++) {
      attend(batch, layer, sequence, q, out);
    }
    if (capture != null) {
      captured.add(captured(batch.rows(), q, k, v));
    }
    return out;
  }

  /// The layout of [RowCapture#layer].
  private float[] captured(int rows, double[] q, double[] k, double[] v) {
    int queries = q.length / rows;
    int keys = k.length / rows;
    var vectors = new float[q.length + k.length + v.length];
    int at = 0;
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < queries; i++) {
        vectors[at++] = (float) (q[row * queries + i] * spec.attentionScale());
      }
      for (int i = 0; i < keys; i++) {
        vectors[at++] = (float) k[row * keys + i];
      }
      for (int i = 0; i < keys; i++) {
        vectors[at++] = (float) v[row * keys + i];
      }
    }
    return vectors;
  }

  /// Rotates queries and keys to their positions, and stores keys and values.
  private void store(StepBatch batch, int layer, int sequence, double[] q, double[] k, double[] v) {
    RopeSpec rope = spec.ropes().get(spec.layers().get(layer).rope());
    Context context = context(batch, layer, sequence);
    int headDim = spec.headDim();
    for (int row = batch.rowStarts()[sequence]; row < batch.rowStarts()[sequence + 1]; row++) {
      int position = batch.firstPositions()[sequence] + row - batch.rowStarts()[sequence];
      for (int head = 0; head < spec.heads(); head++) {
        Textbook.rotate(q, (row * spec.heads() + head) * headDim, rope, position);
      }
      for (int head = 0; head < spec.kvHeads(); head++) {
        Textbook.rotate(k, (row * spec.kvHeads() + head) * headDim, rope, position);
      }
      context.store(position, spec.kvHeads(), k, v, row * spec.kvHeads() * headDim);
    }
  }

  private void cool(StepBatch batch, int layer) {
    DecoderSpec.Layer shape = spec.layers().get(layer);
    StepBatch.Coolings coolings = batch.coolings().get(shape.group());
    for (int i = 0; i < coolings.count(); i++) {
      cooled[shape.group()].cool(
          shape.indexInGroup(), coolings.blocks()[i], coolings.from()[i], coolings.to()[i]);
    }
  }

  private void attend(StepBatch batch, int layer, int sequence, double[] q, double[] out) {
    Context context = context(batch, layer, sequence);
    for (int row = batch.rowStarts()[sequence]; row < batch.rowStarts()[sequence + 1]; row++) {
      int position = batch.firstPositions()[sequence] + row - batch.rowStarts()[sequence];
      for (int head = 0; head < spec.heads(); head++) {
        context.attend(
            position,
            head / spec.queriesPerKvHead(),
            spec.attentionScale(),
            spec.attentionSoftCap(),
            q,
            out,
            (row * spec.heads() + head) * spec.headDim());
      }
    }
  }

  private Context context(StepBatch batch, int layer, int sequence) {
    DecoderSpec.Layer shape = spec.layers().get(layer);
    int group = shape.group();
    return new Context(
        tiles[group],
        cooled[group],
        products,
        batch.tables()[group],
        spec.kv().groups().get(group),
        sequence,
        shape.indexInGroup(),
        mass);
  }

  private float[] project(double[] x, int[] logitRows) {
    int hidden = spec.hidden();
    var last = new double[logitRows.length * hidden];
    for (int i = 0; i < logitRows.length; i++) {
      System.arraycopy(x, logitRows[i] * hidden, last, i * hidden, hidden);
    }
    Tensor output = weights.tensor(WeightRole.OUTPUT, NO_LAYER);
    if (output == null) {
      output = weights.required(WeightRole.TOKEN_EMBEDDING, NO_LAYER);
    }
    last = norm(last, WeightRole.OUTPUT_NORM, NO_LAYER);
    double[] wide = Textbook.multiply(output, last, logitRows.length, activations);
    var result = new float[wide.length];
    for (int i = 0; i < wide.length; i++) {
      result[i] = (float) Textbook.softCap(wide[i], spec.logitSoftCap());
    }
    return result;
  }

  private double[] multiply(double[] x, WeightRole role, int layer) {
    Tensor tensor = weights.required(role, layer);
    return Textbook.multiply(tensor, x, x.length / tensor.columns(), activations);
  }

  private double[] norm(double[] x, WeightRole role, int layer) {
    return Textbook.rmsNorm(x, Dequantizer.all(weights.required(role, layer)), spec.normEpsilon());
  }

  private double[] normIfPresent(double[] x, WeightRole role, int layer) {
    @Nullable Tensor weight = weights.tensor(role, layer);
    return weight == null ? x : Textbook.rmsNorm(x, Dequantizer.all(weight), spec.normEpsilon());
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
      var row = new HeapLogits(logits, request.logitRow() * spec.vocabulary(), spec.vocabulary());
      outcomes.add(sampler.sample(row, request));
    }
    return outcomes;
  }

  @Override
  public void readLogits(int logitRow, float[] destination) {
    System.arraycopy(logits, logitRow * spec.vocabulary(), destination, 0, spec.vocabulary());
  }

  @Override
  public void cool(CooledForms forms) {
    forms.requireFirst(this.forms, spec);
    setForms(forms);
  }

  @Override
  public void readSlab(int group, int form, int slab, MemorySegment bytes) {
    bytes.copyFrom(
        form == BlockRef.EXACT ? tiles[group].slab(slab) : cooled[group].slab(form, slab));
  }

  @Override
  public void writeSlab(int group, int form, int slab, MemorySegment bytes) {
    if (form == BlockRef.EXACT) {
      tiles[group].slab(slab).copyFrom(bytes);
    } else {
      cooled[group].put(form, slab, bytes);
    }
  }

  @Override
  public void discard(int group, int form, int slab) {
    if (form == BlockRef.EXACT) {
      tiles[group].discard(slab);
    } else {
      cooled[group].discard(form, slab);
    }
  }

  @Override
  public void close() {
    logits = new float[0];
  }
}
