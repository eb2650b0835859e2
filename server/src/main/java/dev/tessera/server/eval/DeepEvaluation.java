package dev.tessera.server.eval;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.CooledForm;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.SlabCopies;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.codec.TileCodec;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.SlabLayout;
import dev.tessera.kvcache.TileShape;
import dev.tessera.server.eval.TeacherForcing.Part;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// The parts of the protocol that need more than a comparison of predictions: frozen mode, scores,
/// drift, and a sequence that moves.
final class DeepEvaluation implements AutoCloseable {

  private static final int BLOCK = TileShape.BLOCK_TOKENS;
  private static final int CHUNK = 256;

  /// Tokens that the model writes behind a prompt.
  static final int WRITTEN = 256;

  /// Of the tiles and queries whose scores are compared.
  private static final int TILE_STEP = 4;

  private static final int QUERY_STEP = 8;

  private final Backend backend;
  private final DecoderSpec spec;
  private final DecoderWeights weights;
  private final SessionLimits limits;
  private final SlabLayout[] slabs;
  private final List<EvaluationText> texts;
  private final List<EvaluationText> prompts;
  private final SlabCopies copies = new SlabCopies();
  private final List<List<List<SlabCopies.Copy>>> past =
      new ArrayList<>(); // [texts][groups][blocks]
  private final ExactRows exact;
  private final float[][] queries; // [layers], of the first text's last rows
  private final List<int[]> written = new ArrayList<>(); // [prompts][WRITTEN], over exact tiles

  /// Predictions over exact tiles.
  @FunctionalInterface
  interface ExactRows {

    /// @param row of the text's rows
    /// @return `[vocabulary]`
    float[] get(int text, int row);
  }

  /// Reads the texts over exact tiles, and keeps those.
  ///
  /// @param texts continued ones
  /// @param prompts that the model goes on with
  DeepEvaluation(
      Backend backend,
      DecoderSpec spec,
      DecoderWeights weights,
      List<EvaluationText> texts,
      List<EvaluationText> prompts,
      ExactRows exact) {
    this.backend = backend;
    this.spec = spec;
    this.weights = weights;
    this.texts = texts;
    this.prompts = prompts;
    this.exact = exact;
    int longest = longest(texts, 1);
    int[] counts = new int[spec.kv().groups().size()];
    Arrays.fill(counts, Math.ceilDiv(Math.max(longest, longest(prompts, 0) + WRITTEN), BLOCK));
    limits = new SessionLimits(CHUNK, CHUNK, 1, counts);
    slabs = backend.exactSlabs(spec);
    queries = new float[spec.layers().size()][];
    try (DecoderSession session = backend.load(spec, weights, limits, share -> {})) {
      var reader = new TeacherForcing(session, CooledForms.NONE);
      for (EvaluationText text : texts) {
        reader.read(
            new EvaluationText(text.name(), text.tokens(), new int[0], List.of()),
            CHUNK,
            (first, logits) -> {});
        past.add(slabs(session, text));
      }
      var logits = new float[WRITTEN][spec.vocabulary()];
      for (EvaluationText prompt : prompts) {
        written.add(reader.goOn(prompt, readPrompt(reader, prompt), logits));
      }
      hearQueries(session, reader);
    }
  }

  private List<List<SlabCopies.Copy>> slabs(DecoderSession session, EvaluationText text) {
    List<List<SlabCopies.Copy>> groups = new ArrayList<>();
    for (int group = 0; group < slabs.length; group++) {
      List<SlabCopies.Copy> blocks = new ArrayList<>();
      for (int block = 0; block < Part.blocks(text); block++) {
        long size = slabs[group].slabBytes();
        blocks.add(copies.take(session, group, BlockRef.EXACT, block, size));
      }
      groups.add(blocks);
    }
    return groups;
  }

  private static int longest(List<EvaluationText> texts, int least) {
    return texts.stream().mapToInt(text -> text.tokens().length).max().orElse(least);
  }

  /// All of a prompt but its last token.
  private static Part readPrompt(TeacherForcing reader, EvaluationText prompt) {
    var part = new Part(0, prompt.tokens().length - 1, new int[Part.blocks(prompt)]);
    reader.read(prompt, part, CHUNK, (first, logits) -> {}, (first, last) -> {});
    return part;
  }

  private void hearQueries(DecoderSession session, TeacherForcing reader) {
    EvaluationText text = texts.getFirst();
    restore(session, 0, 0, Part.blocks(text) - 1);
    session.capture((layer, vectors) -> queries[layer] = vectors.clone());
    int from = (text.tokens().length - 1) / BLOCK * BLOCK;
    var part = new Part(from, text.tokens().length, new int[Part.blocks(text)]);
    reader.read(text, part, BLOCK, (first, logits) -> {}, (first, last) -> {});
    session.capture(null);
  }

  private void restore(DecoderSession session, int text, int first, int last) {
    for (int group = 0; group < slabs.length; group++) {
      for (int block = first; block <= last; block++) {
        past.get(text).get(group).get(block).writeTo(session, group, BlockRef.EXACT, block);
      }
    }
  }

  /// @param rows of the first text, as the policy predicted them
  Deeper measure(
      CooledForms forms,
      List<RowDifference> rows,
      List<Deeper.Task> tasks,
      List<Deeper.Orders> orders) {
    int worst = 0;
    double least = 1;
    for (int layer = 0; layer < spec.layers().size(); layer++) {
      double correlation = correlation(layer, forms);
      if (correlation < least) {
        least = correlation;
        worst = layer;
      }
    }
    try (DecoderSession session = backend.load(spec, weights, limits, share -> {})) {
      session.cool(forms);
      var reader = new TeacherForcing(session, forms);
      return new Deeper(
          frozen(session, reader),
          least,
          worst,
          tasks,
          drift(reader),
          orders,
          resumes(session, reader, forms, rows));
    }
  }

  private double frozen(DecoderSession session, TeacherForcing reader) {
    List<RowDifference> all = new ArrayList<>();
    for (int i = 0; i < texts.size(); i++) {
      int index = i;
      EvaluationText text = texts.get(i);
      reader.read(
          text,
          Part.whole(text),
          BLOCK,
          (first, logits) -> all.addAll(differences(index, first, logits)),
          (first, last) -> restore(session, index, first, last));
    }
    return all.stream().mapToDouble(RowDifference::divergence).average().orElse(Double.NaN);
  }

  private List<RowDifference> differences(int index, int first, float[][] logits) {
    EvaluationText text = texts.get(index);
    return IntStream.range(0, logits.length)
        .parallel()
        .mapToObj(
            i ->
                RowDifference.of(
                    exact.get(index, first + i),
                    logits[i],
                    text.tokens()[text.rows()[first + i] + 1]))
        .toList();
  }

  /// Of a layer's scores with those over exact keys, in the head where it is least.
  private double correlation(int layer, CooledForms forms) {
    DecoderSpec.Layer place = spec.layers().get(layer);
    if (forms.of(place.group()).isEmpty()) {
      return 1;
    }
    CooledForm coolest = forms.of(place.group()).getLast();
    return IntStream.range(0, spec.kvHeads())
        .parallel()
        .mapToDouble(
            head -> {
              TileCode code = coolest.keys().get(place.indexInGroup()).get(head);
              return code == null ? 1 : correlation(layer, head, code);
            })
        .min()
        .orElseThrow();
  }

  private double correlation(int layer, int kvHead, TileCode code) {
    DecoderSpec.Layer place = spec.layers().get(layer);
    int dim = spec.headDim();
    int width = (spec.heads() + 2 * spec.kvHeads()) * dim;
    int sharing = spec.queriesPerKvHead();
    List<Integer> at = new ArrayList<>(); // of the queries
    for (int row = 0; row * width < queries[layer].length; row += QUERY_STEP) {
      for (int head = kvHead * sharing; head < (kvHead + 1) * sharing; head++) {
        at.add(row * width + head * dim);
      }
    }
    var sums = new double[at.size()][6]; // n, x, y, xx, yy, xy
    int blocks = past.getFirst().get(place.group()).size();
    for (int block = 1; block < blocks - 1; block += TILE_STEP) {
      float[] keys =
          past.getFirst()
              .get(place.group())
              .get(block)
              .tile(slabs[place.group()], place.indexInGroup(), kvHead, false);
      double[] coded = TileCodec.coded(code, keys, block * BLOCK);
      for (int q = 0; q < sums.length; q++) {
        for (int token = 0; token < BLOCK; token++) {
          double x = 0;
          double y = 0;
          for (int i = 0; i < dim; i++) {
            x += (double) queries[layer][at.get(q) + i] * keys[token * dim + i];
            y += queries[layer][at.get(q) + i] * coded[token * dim + i];
          }
          double[] sum = sums[q];
          sum[0]++;
          sum[1] += x;
          sum[2] += y;
          sum[3] += x * x;
          sum[4] += y * y;
          sum[5] += x * y;
        }
      }
    }
    return Arrays.stream(sums).mapToDouble(DeepEvaluation::correlation).average().orElse(1);
  }

  private static double correlation(double[] sum) {
    double n = sum[0];
    double x = sum[3] - sum[1] * sum[1] / n;
    double y = sum[4] - sum[2] * sum[2] / n;
    double both = sum[5] - sum[1] * sum[2] / n;
    return x > 0 && y > 0 ? both / Math.sqrt(x * y) : 1;
  }

  private Deeper.Drift drift(TeacherForcing reader) {
    List<Double> quarters = new ArrayList<>(Collections.nCopies(4, 0.0));
    double same = 0;
    double matched = 0;
    double told = 0;
    try (DecoderSession judge = backend.load(spec, weights, limits, share -> {})) {
      var exactly = new TeacherForcing(judge, CooledForms.NONE);
      for (int i = 0; i < prompts.size(); i++) {
        EvaluationText prompt = prompts.get(i);
        int[] others = written.get(i);
        var logits = new float[WRITTEN][spec.vocabulary()];
        int[] own = reader.goOn(prompt, readPrompt(reader, prompt), logits);
        double[] divergences = divergences(exactly, written(prompt, own), logits);
        for (int row = 0; row < WRITTEN; row++) {
          quarters.set(4 * row / WRITTEN, quarters.get(4 * row / WRITTEN) + divergences[row]);
          matched += own[row] == others[row] ? 1 : 0;
        }
        int first = Arrays.mismatch(own, others);
        same += first < 0 ? WRITTEN : first;
        if (first >= 0) {
          EvaluationText text = written(prompt, others);
          reader.read(
              text, CHUNK, (row, part) -> System.arraycopy(part, 0, logits, row, part.length));
          divergences = divergences(exactly, text, logits);
        }
        told += Arrays.stream(divergences).average().orElseThrow();
      }
    }
    double count = prompts.size();
    quarters.replaceAll(sum -> sum / (count * WRITTEN / 4));
    return new Deeper.Drift(
        prompts.size(), WRITTEN, same / count, matched / (count * WRITTEN), told / count, quarters);
  }

  /// A prompt and what was written behind it, which is watched.
  private static EvaluationText written(EvaluationText prompt, int[] tokens) {
    int length = prompt.tokens().length;
    int[] all = Arrays.copyOf(prompt.tokens(), length + tokens.length);
    System.arraycopy(tokens, 0, all, length, tokens.length);
    int[] rows = IntStream.range(0, tokens.length).map(row -> length - 1 + row).toArray();
    return new EvaluationText("written", all, rows, List.of());
  }

  /// Of the predictions `logits` from those over exact tiles, `[WRITTEN]`.
  private static double[] divergences(
      TeacherForcing exactly, EvaluationText text, float[][] logits) {
    var divergences = new double[logits.length];
    exactly.read(
        text,
        CHUNK,
        (first, expected) -> {
          for (int i = 0; i < expected.length; i++) {
            int target = text.tokens()[text.rows()[first + i] + 1];
            divergences[first + i] =
                RowDifference.of(expected[i], logits[first + i], target).divergence();
          }
        });
    return divergences;
  }

  /// Reads half of the first text, carries what queries will read into another session, and goes on
  /// there.
  private @Nullable Boolean resumes(
      DecoderSession session,
      TeacherForcing reader,
      CooledForms forms,
      List<RowDifference> expected) {
    if (forms.rule().forms() != 1) {
      return null; // the next form is made from exact tiles here, which are not carried over
    }
    EvaluationText text = texts.getFirst();
    int half = text.tokens().length / 2 / BLOCK * BLOCK;
    var part = new Part(0, half, new int[Part.blocks(text)]);
    reader.read(text, part, CHUNK, (first, logits) -> {}, (first, last) -> {});
    List<RowDifference> rest = new ArrayList<>();
    try (DecoderSession other = backend.load(spec, weights, limits, share -> {});
        var carried = new SlabCopies()) {
      other.cool(forms);
      for (int group = 0; group < slabs.length; group++) {
        for (int block = 0; block < half / BLOCK; block++) {
          int form = part.made()[block] > 0 ? forms.form(group, half / BLOCK, block) : 0;
          long bytes =
              form == 0
                  ? slabs[group].slabBytes()
                  : forms.of(group).get(form - 1).layout().slabBytes();
          carried.take(session, group, form, block, bytes).writeTo(other, group, form, block);
        }
      }
      new TeacherForcing(other, forms)
          .read(
              text,
              new Part(half, text.tokens().length, part.made()),
              CHUNK,
              (first, logits) -> rest.addAll(differences(0, first, logits)),
              (first, last) -> {});
    }
    return rest.equals(expected.subList(expected.size() - rest.size(), expected.size()));
  }

  @Override
  public void close() {
    copies.close();
  }
}
