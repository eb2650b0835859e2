package dev.tessera.server.eval;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kvcache.TileShape;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.DoubleConsumer;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// Lets a model read texts over exact tiles, and then again over compressed ones, and compares
/// every prediction. The reference is the same backend's own exact cache.
final class Evaluation implements AutoCloseable {

  /// Tokens of a step: long ones compute faster, and outputs do not depend on it.
  private static final int CHUNK = 256;

  /// Another size, no multiple of a block.
  private static final int ODD_CHUNK = 150;

  private final Backend backend;
  private final DecoderSpec spec;
  private final DecoderWeights weights;
  private final List<EvaluationText> texts;
  private final SessionLimits limits;
  private final ExactLogits exact;

  /// Reads the texts over exact tiles.
  Evaluation(
      Backend backend,
      DecoderSpec spec,
      DecoderWeights weights,
      List<EvaluationText> texts,
      DoubleConsumer progress)
      throws IOException {
    this.backend = backend;
    this.spec = spec;
    this.weights = weights;
    this.texts = texts;
    int longest = texts.stream().mapToInt(text -> text.tokens().length).max().orElse(1);
    int[] slabs = new int[spec.kv().groups().size()];
    Arrays.fill(slabs, Math.ceilDiv(longest, TileShape.BLOCK_TOKENS));
    limits = new SessionLimits(CHUNK, CHUNK, 1, slabs);
    exact = new ExactLogits(spec.vocabulary());
    try (DecoderSession session = backend.load(spec, weights, limits, share -> {})) {
      var reader = new TeacherForcing(session, CooledForms.NONE);
      for (int i = 0; i < texts.size(); i++) {
        long first = rowsBefore(i);
        reader.read(
            texts.get(i),
            CHUNK,
            (row, logits) -> {
              for (int j = 0; j < logits.length; j++) {
                exact.put(first + row + j, logits[j]);
              }
            });
        progress.accept((i + 1.0) / texts.size());
      }
    }
  }

  private int rowsBefore(int text) {
    return texts.subList(0, text).stream().mapToInt(t -> t.rows().length).sum();
  }

  /// Slabs that each form of a group must have room for.
  int slabs() {
    return limits.slabs()[0];
  }

  /// What it takes to measure the rest of the protocol.
  ///
  /// @param count texts from the first on that are just continued
  /// @param prompts that the model goes on with by itself
  DeepEvaluation deeper(int count, List<EvaluationText> prompts) {
    return new DeepEvaluation(
        backend,
        spec,
        weights,
        texts.subList(0, count),
        prompts,
        (text, row) -> exact.get((long) rowsBefore(text) + row));
  }

  PolicyResult measure(
      String policy, CooledForms forms, boolean triesChunks, DoubleConsumer progress) {
    return measure(policy, forms, triesChunks, null, progress);
  }

  /// Reads the texts again, cooling as the forms say.
  ///
  /// @param triesChunks whether to read the first text once more in steps of another size
  /// @param deep measures the rest of the protocol
  PolicyResult measure(
      String policy,
      CooledForms forms,
      boolean triesChunks,
      @Nullable DeepEvaluation deep,
      DoubleConsumer progress) {
    long start = System.nanoTime();
    var gathering = new Fidelity.Gathering();
    Boolean invariant = null;
    List<RowDifference> first = List.of();
    List<Deeper.Task> tasks = new ArrayList<>();
    List<Deeper.Orders> orders = List.of();
    try (DecoderSession session = backend.load(spec, weights, limits, share -> {})) {
      session.cool(forms);
      var reader = new TeacherForcing(session, forms);
      for (int i = 0; i < texts.size(); i++) {
        List<RowDifference> differences = read(reader, i, CHUNK);
        first = i == 0 ? differences : first;
        if (texts.get(i).isTask()) {
          tasks.add(task(texts.get(i), differences));
        } else {
          gathering.add(texts.get(i), differences);
        }
        progress.accept((i + 1.0) / texts.size());
      }
      if (triesChunks) {
        invariant = read(reader, 0, ODD_CHUNK).equals(first);
      }
      if (deep != null) {
        List<EvaluationText> untasked = texts.subList(0, texts.size() - tasks.size());
        orders = new CoolingOrders(untasked, session, forms, this::differences).measure();
      }
    }
    PolicyResult.Storage storage = PolicyResult.Storage.of(forms);
    return new PolicyResult(
        policy,
        storage.keyBits(),
        storage.valueBits(),
        storage.tokensPerGiB(),
        gathering.result(),
        invariant,
        deep == null ? null : deep.measure(forms, first, tasks, orders),
        (System.nanoTime() - start) / 1e9);
  }

  private static Deeper.Task task(EvaluationText text, List<RowDifference> rows) {
    var gathering = new Fidelity.Gathering();
    gathering.add(text, rows);
    Fidelity found = gathering.result();
    return new Deeper.Task(text.name(), found.found(), found.findable(), found.answerDivergence());
  }

  private List<RowDifference> read(TeacherForcing reader, int index, int chunk) {
    List<RowDifference> all = new ArrayList<>();
    reader.read(
        texts.get(index), chunk, (row, logits) -> all.addAll(differences(index, row, logits)));
    return all;
  }

  private List<RowDifference> differences(int index, int row, float[][] logits) {
    EvaluationText text = texts.get(index);
    long first = rowsBefore(index) + (long) row;
    return IntStream.range(0, logits.length)
        .parallel()
        .mapToObj(
            i -> {
              int target = text.tokens()[text.rows()[row + i] + 1];
              return RowDifference.of(exact.get(first + i), logits[i], target);
            })
        .toList();
  }

  @Override
  public void close() throws IOException {
    exact.close();
  }
}
