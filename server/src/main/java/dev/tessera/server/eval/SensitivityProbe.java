package dev.tessera.server.eval;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.CooledForm;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.SlabCopies;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kernels.codec.FormFactory;
import dev.tessera.kernels.codec.FormFactory.KeyKnowledge;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.codec.TileCodec;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.FormPlan;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.kvcache.KvPolicyParser;
import dev.tessera.kvcache.PolicySetting;
import dev.tessera.kvcache.SlabLayout;
import dev.tessera.kvcache.TileFormat;
import dev.tessera.kvcache.TileShape;
import dev.tessera.models.calibration.CalibrationTexts;
import dev.tessera.models.calibration.RetrievalText;
import dev.tessera.models.tokenizer.Tokenizer;
import dev.tessera.server.eval.Sensitivities.Option;
import dev.tessera.server.eval.Sensitivities.Side;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleConsumer;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// Measures how much each layer's keys and values suffer from being coded: one side at a time, on
/// the calibration texts, against the exact cache of the same engine.
///
/// A text's past is computed once, exactly. Then, for every side, its old tiles are replaced by
/// what is left of them after coding, and only the text's last tokens are computed again: so a
/// probe takes some dozens of tokens, not a thousand. It is done for one rung; what other rungs
/// would do follows from how much smaller their error is, on scores for keys.
final class SensitivityProbe implements AutoCloseable {

  private static final int BLOCK = TileShape.BLOCK_TOKENS;

  /// As the policies of the search: `first=64,last=256`.
  private static final int AGE_BLOCKS = 4;

  private static final int CHUNK = 256;

  /// Of the queries that weigh keys' errors, and of the tiles that errors are compared on.
  private static final int QUERY_STEP = 8;

  private static final int ERROR_TILES = 3;

  private static final List<String> KEY_RUNGS =
      List.of("s2+1", "s2+2", "s3+1", "s4+1", "i8", "exact");
  private static final List<String> VALUE_RUNGS = List.of("p2", "p3", "p4", "p5", "i8", "exact");

  /// What a second spared token leaves of a rung's damage beside what its error in scores
  /// foretells. Tokens far from all others, which sparing takes out, are what attention goes to: in
  /// whole runs of the default model that is worth more than their share of the error. Without any,
  /// rungs are not worth trying.
  private static final Map<String, Double> SPARED_AGAIN = Map.of("s2+2", 0.6);

  /// Texts that nothing was learned from diverge so much more than the calibration texts under the
  /// policies of the search: measured on the default model, at 2.9 and at 3.4 bits.
  private static final double FOREIGN = 7;

  private static final String KEY_PROBE = "s2+1";
  private static final String VALUE_PROBE = "p2";

  /// A text whose last rows are computed again and again.
  ///
  /// @param slab of its first block
  /// @param past tokens that are computed once: whole blocks
  /// @param watched rows behind those whose predictions are compared
  private record Passage(int[] tokens, int slab, int past, int[] watched) {

    int rows() {
      return tokens.length - past;
    }

    int blocks() {
      return Math.ceilDiv(tokens.length, BLOCK);
    }

    /// Blocks 1 to this one, exclusive, are read coded by all the rows.
    int endOfCooled() {
      return past / BLOCK - AGE_BLOCKS;
    }
  }

  /// A tile that is replaced.
  private record Place(int passage, int block, int head) {}

  private final Backend backend;
  private final DecoderSpec spec;
  private final DecoderWeights weights;
  private final KeyKnowledge keys;
  private final SlabLayout[] exactSlabs;
  private final List<Passage> passages;
  private final int[] prose;
  private final DecoderSession session;
  private final SlabCopies copies = new SlabCopies();
  private final List<List<SlabCopies.Copy>> originals = new ArrayList<>(); // [groups][slabs]
  private final float[][] queries; // [layers], rows as RowCapture gives them
  private float[][] expected = {};

  /// Loads a session, and reads the texts over exact tiles.
  ///
  /// @throws IllegalArgumentException if the model's context is too short to tell
  SensitivityProbe(
      Backend backend,
      DecoderSpec spec,
      DecoderWeights weights,
      Tokenizer tokenizer,
      KeyKnowledge keys,
      AutoPolicy.Size size) {
    this.backend = backend;
    this.spec = spec;
    this.weights = weights;
    this.keys = keys;
    exactSlabs = backend.exactSlabs(spec);
    queries = new float[spec.layers().size()][];
    prose = CalibrationTexts.prose(tokenizer);
    passages = passages(prose, CalibrationTexts.facts(tokenizer), size);
    for (Passage passage : passages) {
      if (passage.tokens.length > spec.maxPositions() || passage.endOfCooled() < 2) {
        throw new IllegalArgumentException(
            "auto measures on texts of %,d tokens; the model's context is %,d"
                .formatted(passage.tokens.length, spec.maxPositions()));
      }
    }
    int blocks = passages.stream().mapToInt(Passage::blocks).sum();
    int rows = Math.max(CHUNK, passages.stream().mapToInt(Passage::rows).sum());
    int[] slabs = new int[exactSlabs.length];
    Arrays.fill(slabs, blocks);
    session =
        backend.load(
            spec, weights, new SessionLimits(rows, rows, passages.size(), slabs), share -> {});
    try {
      readPast();
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  private static List<Passage> passages(int[] prose, RetrievalText facts, AutoPolicy.Size size) {
    int[] first = Arrays.copyOf(prose, Math.min(prose.length, size.prosePast() + size.proseRows()));
    int past = Math.max(0, (first.length - size.proseRows()) / BLOCK * BLOCK);
    int[] all = IntStream.range(0, first.length - past).toArray();
    var text = new Passage(first, 0, past, all);
    int asked = (facts.answers().getFirst().start() - 1) / BLOCK * BLOCK;
    int end = Math.min(facts.tokens().length, asked + size.factsRows());
    int[] answers =
        facts.answers().stream()
            .flatMapToInt(answer -> IntStream.range(answer.start() - 1, answer.end() - 1))
            .filter(row -> row < end)
            .map(row -> row - asked)
            .toArray();
    return List.of(
        text, new Passage(Arrays.copyOf(facts.tokens(), end), text.blocks(), asked, answers));
  }

  private void readPast() {
    for (int i = 0; i < passages.size(); i++) {
      Passage passage = passages.get(i);
      for (int at = 0; at < passage.past; at += CHUNK) {
        int end = Math.min(passage.past, at + CHUNK);
        session.submit(batch(List.of(passage), new int[] {at}, new int[] {end}, new int[0]));
        session.await();
      }
    }
    session.capture((layer, vectors) -> queries[layer] = vectors.clone());
    expected = readAgain();
    session.capture(null);
    int slabs = passages.stream().mapToInt(Passage::blocks).sum();
    for (int group = 0; group < exactSlabs.length; group++) {
      List<SlabCopies.Copy> own = new ArrayList<>();
      for (int slab = 0; slab < slabs; slab++) {
        long size = exactSlabs[group].slabBytes();
        own.add(copies.take(session, group, BlockRef.EXACT, slab, size));
      }
      originals.add(own);
    }
  }

  /// Computes the last rows of all passages, and returns the logits of the watched ones.
  private float[][] readAgain() {
    List<Integer> watched = new ArrayList<>();
    int row = 0;
    for (Passage passage : passages) {
      for (int own : passage.watched) {
        watched.add(row + own);
      }
      row += passage.rows();
    }
    session.submit(
        batch(
            passages,
            passages.stream().mapToInt(Passage::past).toArray(),
            passages.stream().mapToInt(passage -> passage.tokens.length).toArray(),
            watched.stream().mapToInt(Integer::intValue).toArray()));
    session.await();
    var logits = new float[watched.size()][spec.vocabulary()];
    for (int i = 0; i < logits.length; i++) {
      session.readLogits(i, logits[i]);
    }
    return logits;
  }

  private StepBatch batch(List<Passage> sequences, int[] from, int[] to, int[] logitRows) {
    List<int[]> tokens = new ArrayList<>();
    List<int[]> refs = new ArrayList<>();
    int[] rowStarts = new int[sequences.size() + 1];
    int[] tableStarts = new int[sequences.size() + 1];
    for (int i = 0; i < sequences.size(); i++) {
      Passage passage = sequences.get(i);
      tokens.add(Arrays.copyOfRange(passage.tokens, from[i], to[i]));
      int blocks = Math.ceilDiv(to[i], BLOCK);
      refs.add(
          IntStream.range(0, blocks)
              .map(block -> BlockRef.of(BlockRef.EXACT, passage.slab + block))
              .toArray());
      rowStarts[i + 1] = rowStarts[i] + to[i] - from[i];
      tableStarts[i + 1] = tableStarts[i] + blocks;
    }
    var tables = new StepBatch.BlockTables[exactSlabs.length];
    Arrays.fill(
        tables,
        StepBatch.BlockTables.exact(
            tableStarts,
            new int[sequences.size()],
            new int[sequences.size()],
            refs.stream().flatMapToInt(Arrays::stream).toArray()));
    return new StepBatch(
        tokens.stream().flatMapToInt(Arrays::stream).toArray(),
        rowStarts,
        from,
        tables,
        logitRows,
        StepBatch.Coolings.none(exactSlabs.length));
  }

  /// @param progress called with the share that is done, from 0 to 1
  Sensitivities measure(DoubleConsumer progress) {
    List<CooledForms> keyForms = forms("k=%s;v=p2", KEY_RUNGS);
    List<CooledForms> valueForms = forms("k=i8;v=%s", VALUE_RUNGS);
    int layers = spec.layers().size();
    List<Side> sides = new ArrayList<>();
    for (int layer = 0; layer < layers; layer++) {
      if (spec.kv().groups().get(spec.layers().get(layer).group()).isFull()) {
        sides.add(side(layer, false, keyForms));
        sides.add(side(layer, true, valueForms));
      }
      progress.accept(0.9 * (layer + 1) / layers);
    }
    var sensitivities = new Sensitivities(sides, 1);
    double scale = scale(sensitivities);
    progress.accept(1);
    return new Sensitivities(sides, scale);
  }

  private List<CooledForms> forms(String policy, List<String> rungs) {
    return rungs.stream()
        .filter(rung -> !rung.equals("exact"))
        .map(rung -> forms(policy.formatted(rung)))
        .toList();
  }

  private CooledForms forms(String clauses) {
    KvPolicy policy =
        switch (KvPolicyParser.parse("exact:first=64,last=256;" + clauses)) {
          case PolicySetting.Fixed(KvPolicy fixed) -> fixed;
          case PolicySetting.Auto auto -> throw new AssertionError(clauses);
        };
    long bytes =
        64 * Arrays.stream(exactSlabs).mapToLong(SlabLayout::slabBytes).max().orElseThrow();
    return new FormFactory(FormPlan.of(policy, spec.kv()), spec, List.of(exactSlabs), keys)
        .create(bytes);
  }

  private Side side(int layer, boolean isValue, List<CooledForms> forms) {
    List<String> rungs = isValue ? VALUE_RUNGS : KEY_RUNGS;
    int probe = rungs.indexOf(isValue ? VALUE_PROBE : KEY_PROBE);
    double[] damage = damage(layer, isValue, forms.get(probe));
    double[] errors =
        IntStream.range(0, forms.size())
            .parallel()
            .mapToDouble(i -> error(layer, isValue, forms.get(i)))
            .toArray();
    List<Option> options = new ArrayList<>();
    for (int i = 0; i < forms.size(); i++) {
      double share = errors[probe] == 0 ? 0 : errors[i] / errors[probe];
      share *= SPARED_AGAIN.getOrDefault(rungs.get(i), 1.0);
      double bits = bits(layer, isValue, forms.get(i));
      options.add(new Option(rungs.get(i), bits, share * damage[0], share * damage[1]));
    }
    TileFormat exact = isValue ? exactSlabs[0].value() : exactSlabs[0].key();
    options.add(new Option("exact", 8.0 * exact.tileBytes() / exact.shape().elements(), 0, 0));
    return new Side(layer, isValue, options);
  }

  private @Nullable TileCode code(int layer, int head, boolean isValue, CooledForms forms) {
    DecoderSpec.Layer place = spec.layers().get(layer);
    CooledForm form = forms.of(place.group()).getFirst();
    return (isValue ? form.values() : form.keys()).get(place.indexInGroup()).get(head);
  }

  private double bits(int layer, boolean isValue, CooledForms forms) {
    return IntStream.range(0, spec.kvHeads())
        .mapToObj(head -> code(layer, head, isValue, forms))
        .mapToDouble(
            code ->
                code == null
                    ? 16
                    : 8.0 * code.format().tileBytes() / code.format().shape().elements())
        .average()
        .orElseThrow();
  }

  private float[] tile(Place place, int layer, boolean isValue) {
    DecoderSpec.Layer at = spec.layers().get(layer);
    SlabCopies.Copy slab =
        originals.get(at.group()).get(passages.get(place.passage).slab + place.block);
    return slab.tile(exactSlabs[at.group()], at.indexInGroup(), place.head, isValue);
  }

  /// Mean divergence of the passages' watched rows, with one side coded.
  private double[] damage(int layer, boolean isValue, CooledForms forms) {
    int group = spec.layers().get(layer).group();
    List<int[]> blocks = new ArrayList<>(); // { passage, block }
    for (int i = 0; i < passages.size(); i++) {
      for (int block = 1; block < passages.get(i).endOfCooled(); block++) {
        blocks.add(new int[] {i, block});
      }
    }
    SlabCopies.Copy[] changed = new SlabCopies.Copy[blocks.size()];
    IntStream.range(0, changed.length)
        .parallel()
        .forEach(i -> changed[i] = changed(blocks.get(i), layer, isValue, forms));
    for (int i = 0; i < changed.length; i++) {
      changed[i].writeTo(session, group, BlockRef.EXACT, slab(blocks.get(i)));
    }
    float[][] logits = readAgain();
    for (int[] block : blocks) {
      int slab = slab(block);
      originals.get(group).get(slab).writeTo(session, group, BlockRef.EXACT, slab);
    }
    double[] divergences =
        IntStream.range(0, logits.length)
            .parallel()
            .mapToDouble(i -> RowDifference.of(expected[i], logits[i], 0).divergence())
            .toArray();
    double[] means = new double[passages.size()];
    int from = 0;
    for (int i = 0; i < means.length; i++) {
      int count = passages.get(i).watched.length;
      means[i] = Arrays.stream(divergences, from, from + count).average().orElse(0);
      from += count;
    }
    return means;
  }

  private int slab(int[] block) {
    return passages.get(block[0]).slab + block[1];
  }

  private SlabCopies.Copy changed(int[] block, int layer, boolean isValue, CooledForms forms) {
    DecoderSpec.Layer at = spec.layers().get(layer);
    SlabCopies.Copy copy = originals.get(at.group()).get(slab(block)).duplicate();
    for (int head = 0; head < spec.kvHeads(); head++) {
      TileCode code = code(layer, head, isValue, forms);
      if (code != null) {
        float[] tile = tile(new Place(block[0], block[1], head), layer, isValue);
        double[] decoded = TileCodec.coded(code, tile, block[1] * BLOCK);
        copy.setTile(exactSlabs[at.group()], at.indexInGroup(), head, isValue, decoded);
      }
    }
    return copy;
  }

  /// Squared error of some tiles: of values as they are, of keys in the scores of some queries.
  private double error(int layer, boolean isValue, CooledForms forms) {
    int blocks = passages.getFirst().endOfCooled();
    double error = 0;
    for (int head = 0; head < spec.kvHeads(); head++) {
      TileCode code = code(layer, head, isValue, forms);
      for (int i = 0; code != null && i < ERROR_TILES; i++) {
        int block = 1 + (blocks - 2) * i / (ERROR_TILES - 1);
        float[] tile = tile(new Place(0, block, head), layer, isValue);
        double[] decoded = TileCodec.coded(code, tile, block * BLOCK);
        for (int j = 0; j < decoded.length; j++) {
          decoded[j] -= tile[j];
        }
        error += isValue ? squares(decoded) : scoreError(layer, head, decoded);
      }
    }
    return error;
  }

  private static double squares(double[] x) {
    return Arrays.stream(x).map(value -> value * value).sum();
  }

  private double scoreError(int layer, int kvHead, double[] difference) {
    int dim = spec.headDim();
    int width = (spec.heads() + 2 * spec.kvHeads()) * dim;
    int sharing = spec.queriesPerKvHead();
    float[] vectors = queries[layer];
    double error = 0;
    for (int row = 0; row < passages.getFirst().rows(); row += QUERY_STEP) {
      for (int head = kvHead * sharing; head < (kvHead + 1) * sharing; head++) {
        int query = row * width + head * dim;
        for (int token = 0; token < BLOCK; token++) {
          double score = 0;
          for (int i = 0; i < dim; i++) {
            score += vectors[query + i] * difference[token * dim + i];
          }
          error += score * score;
        }
      }
    }
    return error;
  }

  /// What a policy does to a text, read from its beginning over what it did before, by what the
  /// probes foretell.
  private double scale(Sensitivities sensitivities) {
    String keyRung = "s3+1";
    String valueRung = "p3";
    double foretold =
        sensitivities.sides().stream()
            .flatMap(
                side ->
                    side.options().stream()
                        .filter(
                            option -> option.rung().equals(side.isValue() ? valueRung : keyRung)))
            .mapToDouble(Option::continued)
            .sum();
    var text = EvaluationText.continued("prose", prose);
    try (var evaluation = new Evaluation(backend, spec, weights, List.of(text), share -> {})) {
      double measured =
          evaluation
              .measure("", forms("k=" + keyRung + ";v=" + valueRung), false, share -> {})
              .fidelity()
              .mean();
      return foretold > 0 && measured > 0 ? FOREIGN * measured / foretold : 1;
    } catch (java.io.IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  @Override
  public void close() {
    session.close();
    copies.close();
  }
}
