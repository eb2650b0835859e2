package dev.tessera.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.sampling.HeapLogits;
import dev.tessera.kernels.sampling.Sampler;
import dev.tessera.kernels.scalar.ScalarBackend;
import dev.tessera.kernels.testing.Agreement;
import dev.tessera.kernels.testing.PagedSequences;
import dev.tessera.kernels.testing.RandomTensors;
import dev.tessera.kernels.testing.Subject;
import dev.tessera.kernels.testing.TinyDecoder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// What every backend owes its callers: the oracle's logits, and the same bits however the tokens
/// arrive.
final class BackendContractTest {

  private static final int SHORT_SEQUENCES = 12;

  static Stream<Subject> subjects() {
    return Subject.all();
  }

  /// @param quantised whether its weights are
  record Model(String name, TinyDecoder decoder, boolean quantised) {
    @Override
    public String toString() {
      return name;
    }
  }

  static List<Model> models() {
    return List.of(
        floats("llama", TinyDecoder.builder()),
        floats("tied, one KV head", TinyDecoder.builder().tied().heads(8, 1, 8)),
        floats("awkward widths", TinyDecoder.builder().hidden(72).heads(3, 3, 40).feedForward(100)),
        floats("qwen2: biases", TinyDecoder.builder().bias().heads(6, 2, 16)),
        floats(
            "qwen3: head norms, split rope",
            TinyDecoder.builder().headNorms().rope(RopeSpec.Pairing.SPLIT, 16, 1)),
        floats(
            "partial rope with a magnitude",
            TinyDecoder.builder().rope(RopeSpec.Pairing.SPLIT, 8, 1.2f)),
        floats(
            "partial interleaved rope",
            TinyDecoder.builder().rope(RopeSpec.Pairing.INTERLEAVED, 12, 0.9f)),
        floats(
            "gemma: windows, norms, gelu, caps",
            TinyDecoder.builder()
                .tied()
                .layers(4)
                .window(70, 0, 3)
                .headNorms()
                .postNorms()
                .embeddingScale(8)
                .softCaps(5, 3)
                .activation(DecoderSpec.Activation.GELU_TANH)
                .rope(RopeSpec.Pairing.SPLIT, 16, 1)),
        floats("window with sinks", TinyDecoder.builder().window(33, 4, 1)),
        floats("all layers windowed", TinyDecoder.builder().window(64, 70, 2)),
        floats("f16", TinyDecoder.builder().types(TensorType.F16, TensorType.F16)),
        floats("bf16", TinyDecoder.builder().types(TensorType.BF16, TensorType.BF16)),
        quantised(TensorType.Q8_0, TensorType.Q8_0),
        quantised(TensorType.Q4_0, TensorType.Q8_0),
        quantised(TensorType.Q4_1, TensorType.Q8_0),
        quantised(TensorType.Q5_0, TensorType.F16),
        quantised(TensorType.Q5_1, TensorType.BF16),
        quantised(TensorType.Q4_K, TensorType.Q6_K),
        quantised(TensorType.Q5_K, TensorType.Q4_K),
        quantised(TensorType.Q6_K, TensorType.Q6_K));
  }

  private static Model floats(String name, TinyDecoder.Builder builder) {
    return new Model(name, builder.build(name.hashCode()), false);
  }

  private static Model quantised(TensorType type, TensorType embedding) {
    var builder = TinyDecoder.builder().types(type, embedding);
    if (type.blockElements() == 256) {
      builder.hidden(256).heads(4, 2, 64).feedForward(512);
    }
    return new Model(type + " and " + embedding, builder.build(type.ordinal()), true);
  }

  static Stream<Arguments> subjectsAndModels() {
    return Subject.all().flatMap(s -> models().stream().map(model -> Arguments.of(s, model)));
  }

  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("subjectsAndModels")
  void computesTheLogitsOfTheOracle(Subject subject, Model model) {
    TinyDecoder decoder = model.decoder();
    try (Backend backend = subject.open(2);
        Backend oracle = ScalarBackend.roundingAs(backend);
        Run expected = new Run(oracle, decoder, SHORT_SEQUENCES);
        Run actual = new Run(backend, decoder, SHORT_SEQUENCES)) {
      var agreement = new Agreement(backend, decoder.spec().layers().size(), model.quantised());
      for (TreeMap<Integer, int[]> step : steps(decoder, !model.quantised())) {
        Map<Integer, float[][]> oracles = expected.sequences.append(step);
        Map<Integer, float[][]> found = actual.sequences.append(step);
        for (int sequence : step.keySet()) {
          for (int row = 0; row < step.get(sequence).length; row++) {
            String name = "row %d of sequence %d".formatted(row, sequence);
            agreement.row(name, oracles.get(sequence)[row], found.get(sequence)[row]);
          }
        }
      }
      agreement.finish();
    }
  }

  /// Short sequences, first their prompts in one step, then all of them token by token. Then one of
  /// them becomes long, if it may: see [Agreement].
  private static List<TreeMap<Integer, int[]>> steps(TinyDecoder decoder, boolean mayBeLong) {
    var steps = new ArrayList<TreeMap<Integer, int[]>>();
    for (int step = 0; step < 4; step++) {
      var chunks = new TreeMap<Integer, int[]>();
      for (int sequence = 0; sequence < SHORT_SEQUENCES; sequence++) {
        int count = step == 0 ? 1 + sequence : 1;
        chunks.put(sequence, tokens(decoder, count, 100L * step + sequence));
      }
      steps.add(chunks);
    }
    for (int[] chunk : chunks(tokens(decoder, mayBeLong ? 150 : 0, 1), 64)) {
      steps.add(new TreeMap<>(Map.of(0, chunk)));
    }
    return steps;
  }

  /// The oracle computes every row by itself: one model stands for all.
  static Stream<Arguments> fastSubjectsAndModels() {
    return Subject.all()
        .flatMap(
            subject ->
                models().stream()
                    .limit(subject.provider().name().equals(ScalarBackend.NAME) ? 1 : 100)
                    .map(model -> Arguments.of(subject, model)));
  }

  /// A row may lie beside others, in chunks of any size, on any number of threads.
  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("fastSubjectsAndModels")
  void givesTheSameBitsHoweverTheTokensArrive(Subject subject, Model model) {
    TinyDecoder decoder = model.decoder();
    int[] tokens = tokens(decoder, 131, 3);
    float[][] expected;
    try (Backend backend = subject.open(1);
        Run run = new Run(backend, decoder, 1)) {
      expected = run.sequences.append(0, tokens);
    }
    for (int chunk : new int[] {1, 7, 64, 100}) {
      try (Backend backend = subject.open(1 + chunk % 3);
          Run run = new Run(backend, decoder, 4)) {
        assertBits(expected, inCompany(run, decoder, tokens, chunk), "in chunks of " + chunk);
      }
    }
  }

  /// Appends the tokens in chunks, with other sequences at other lengths in every step.
  private static List<float[]> inCompany(
      Run run, TinyDecoder decoder, int[] tokens, int chunkTokens) {
    run.sequences.append(0, tokens(decoder, 67, 4));
    var logits = new ArrayList<float[]>();
    int step = 0;
    for (int[] chunk : chunks(tokens, chunkTokens)) {
      var step0 = new TreeMap<Integer, int[]>();
      step0.put(0, tokens(decoder, 1, 5 + step));
      step0.put(1, chunk);
      if (step % 3 == 1) {
        step0.put(2, tokens(decoder, 1 + step % 5, 6 + step));
      }
      Map<Integer, float[][]> results = run.sequences.append(step0);
      logits.addAll(List.of(results.get(1)));
      step++;
    }
    return logits;
  }

  /// One sequence's NaN stays in its rows, and in the slabs that it leaves behind.
  @ParameterizedTest
  @MethodSource("subjects")
  void oneSequenceCannotSpoilAnother(Subject subject) {
    TinyDecoder decoder = TinyDecoder.builder().build(12);
    int poison = 5;
    float[] embedding =
        Dequantizer.all(
            decoder.weights().required(WeightRole.TOKEN_EMBEDDING, DecoderWeights.NO_LAYER));
    int hidden = decoder.spec().hidden();
    Arrays.fill(embedding, poison * hidden, (poison + 1) * hidden, Float.NaN);
    Tensor rows = RandomTensors.vector("token_embd", embedding);
    Tensor spoilt =
        new Tensor("token_embd", TensorType.F32, decoder.spec().vocabulary(), hidden, rows.data());
    var poisoned =
        new TinyDecoder(
            decoder.spec(),
            (role, layer) ->
                role == WeightRole.TOKEN_EMBEDDING
                    ? spoilt
                    : decoder.weights().tensor(role, layer));
    int[] tokens = tokens(decoder, 70, 13);
    Arrays.setAll(tokens, i -> tokens[i] == poison ? 0 : tokens[i]);
    var poisonTokens = new int[100];
    Arrays.fill(poisonTokens, poison);
    try (Backend backend = subject.open(2);
        Run clean = new Run(backend, decoder, 2);
        Run run = new Run(backend, poisoned, 2)) {
      float[][] expected = clean.sequences.append(0, tokens);
      var both = new TreeMap<Integer, int[]>();
      both.put(0, poisonTokens);
      both.put(1, tokens);
      assertBits(expected, List.of(run.sequences.append(both).get(1)), "beside it");
      assertInstanceOf(
          SampleOutcome.Broken.class,
          run.session.sample(List.of(SampleRequest.greedy(99))).getFirst());
      run.sequences.release(0);
      assertBits(expected, List.of(run.sequences.append(2, tokens)), "in its slabs");
    }
  }

  @ParameterizedTest
  @MethodSource("subjects")
  void samplesFromTheLogitsOfTheLastStep(Subject subject) {
    TinyDecoder decoder = TinyDecoder.builder().build(9);
    try (Backend backend = subject.open(1);
        Run run = new Run(backend, decoder, 2)) {
      float[][] logits = run.sequences.append(0, tokens(decoder, 5, 8));
      int vocabulary = decoder.spec().vocabulary();
      var masked =
          new SampleRequest(
              3, 1, 0, 1, 0, 0.5, null, new int[0], new float[0], new long[] {4, 0}, -1, 2);
      List<SampleOutcome> outcomes =
          run.session.sample(List.of(SampleRequest.greedy(4), masked, SampleRequest.greedy(0)));
      assertEquals(argMax(logits[4]), chosen(outcomes.get(0)).token());
      assertEquals(argMax(logits[0]), chosen(outcomes.get(2)).token());
      var scored = chosen(outcomes.get(1));
      assertEquals(2, scored.token());
      assertEquals(argMax(logits[3]), scored.topTokens()[0]);
      double sum = 0;
      for (float logit : logits[3]) {
        sum += Math.exp(logit);
      }
      // A sum of `vocabulary` exponentials in single precision.
      assertEquals(logits[3][2] - Math.log(sum), scored.logprob(), vocabulary * 0x1p-22);
      assertTrue(vocabulary > 64);
    }
  }

  /// A backend's own passes over its logits lead to the tokens of the plain ones. Their sums may
  /// differ in the last bits, which moves a draw only if it falls between the two.
  @ParameterizedTest
  @MethodSource("subjects")
  void samplesAsThePlainPassesDo(Subject subject) {
    int vocabulary = 2 * 1024 + 77;
    TinyDecoder decoder = TinyDecoder.builder().vocabulary(vocabulary).build(14);
    var random = new Random(15);
    try (Backend backend = subject.open(2);
        Run run = new Run(backend, decoder, 1)) {
      float[][] logits = run.sequences.append(0, tokens(decoder, 6, 16));
      List<SampleRequest> requests =
          Stream.generate(() -> randomRequest(random, logits.length, vocabulary))
              .limit(200)
              .toList();
      List<SampleOutcome> outcomes = run.session.sample(requests);
      var sampler = new Sampler(vocabulary);
      for (int i = 0; i < requests.size(); i++) {
        SampleRequest request = requests.get(i);
        var row = new HeapLogits(logits[request.logitRow()], 0, vocabulary);
        var expected = chosen(sampler.sample(row, request));
        var actual = chosen(outcomes.get(i));
        String what = "request " + i;
        assertEquals(expected.token(), actual.token(), what);
        assertEquals(expected.rank(), actual.rank(), what);
        assertArrayEquals(expected.topTokens(), actual.topTokens(), what);
        assertEquals(expected.logprob(), actual.logprob(), 1e-5f, what);
        assertArrayEquals(expected.topLogprobs(), actual.topLogprobs(), 1e-5f, what);
      }
      var after = new float[vocabulary];
      run.session.readLogits(3, after);
      assertArrayEquals(logits[3], after, "sampling leaves the logits as they were");
    }
  }

  private static SampleRequest randomRequest(Random random, int rows, int vocabulary) {
    int[] ids = random.ints(0, vocabulary).distinct().limit(20).toArray();
    var mask = new long[Math.ceilDiv(vocabulary, Long.SIZE)];
    Arrays.setAll(mask, i -> random.nextLong());
    return new SampleRequest(
        random.nextInt(rows),
        random.nextInt(4) == 0 ? 0 : 0.3f + random.nextFloat(),
        random.nextInt(3) == 0 ? 1 + random.nextInt(300) : 0,
        random.nextInt(3) == 0 ? 0.1f + 0.9f * random.nextFloat() : 1,
        random.nextInt(3) == 0 ? 0.2f * random.nextFloat() : 0,
        random.nextDouble(),
        random.nextInt(3) == 0
            ? new SampleRequest.Penalties(ids, random.ints(20, 0, 3).toArray(), 0.3f, 0.2f, 1.1f)
            : null,
        random.nextInt(3) == 0 ? ids : new int[0],
        random.nextInt(3) == 0 ? RandomTensors.gaussians(20, 0, 2, random) : new float[20],
        random.nextInt(3) == 0 ? mask : null,
        -1,
        random.nextInt(6) - 1);
  }

  @ParameterizedTest
  @MethodSource("subjects")
  void refusesABatchBeyondItsLimits(Subject subject) {
    TinyDecoder decoder = TinyDecoder.builder().build(10);
    try (Backend backend = subject.open(1);
        Run run = new Run(backend, decoder, 1)) {
      int limit = run.limits.rows();
      var thrown =
          assertThrows(
              IllegalArgumentException.class, () -> run.sequences.append(0, new int[limit + 1]));
      assertEquals(
          "a step of %d rows exceeds the session's limit of %d".formatted(limit + 1, limit),
          thrown.getMessage());
    }
  }

  @ParameterizedTest
  @MethodSource("subjects")
  void refusesWeightsOfAnotherShapeByName(Subject subject) {
    TinyDecoder decoder = TinyDecoder.builder().build(11);
    DecoderWeights wrong =
        (role, layer) ->
            role == WeightRole.DOWN && layer == 1
                ? RandomTensors.matrix("blk.1.down", TensorType.F32, 64, 95, 1, new Random(1))
                : decoder.weights().tensor(role, layer);
    SessionLimits limits = PagedSequences.limits(decoder.spec(), 1, 64);
    try (Backend backend = subject.open(1)) {
      var thrown =
          assertThrows(
              IllegalArgumentException.class,
              () -> backend.load(decoder.spec(), wrong, limits, share -> {}));
      assertEquals(
          "tensor blk.1.down (DOWN) is 64 x 95; the model's shape asks for 64 x 96",
          thrown.getMessage());
    }
  }

  /// A loaded decoder with its sequences.
  private static final class Run implements AutoCloseable {
    final SessionLimits limits;
    final DecoderSession session;
    final PagedSequences sequences;

    Run(Backend backend, TinyDecoder decoder, int sequenceCount) {
      limits = PagedSequences.limits(decoder.spec(), sequenceCount, 600);
      session = backend.load(decoder.spec(), decoder.weights(), limits, share -> {});
      sequences = new PagedSequences(session, limits, 31);
    }

    @Override
    public void close() {
      session.close();
    }
  }

  private static int[] tokens(TinyDecoder decoder, int count, long seed) {
    return new Random(seed).ints(count, 0, decoder.spec().vocabulary()).toArray();
  }

  private static List<int[]> chunks(int[] tokens, int size) {
    var chunks = new ArrayList<int[]>();
    for (int from = 0; from < tokens.length; from += size) {
      chunks.add(Arrays.copyOfRange(tokens, from, Math.min(tokens.length, from + size)));
    }
    return chunks;
  }

  private static SampleOutcome.Chosen chosen(SampleOutcome outcome) {
    return assertInstanceOf(SampleOutcome.Chosen.class, outcome);
  }

  private static int argMax(float[] logits) {
    int best = 0;
    for (int i = 0; i < logits.length; i++) {
      best = logits[i] > logits[best] ? i : best;
    }
    return best;
  }

  private static void assertBits(float[][] expected, List<float[]> actual, String how) {
    assertEquals(expected.length, actual.size());
    for (int row = 0; row < expected.length; row++) {
      assertArrayEquals(expected[row], actual.get(row), "row " + row + " " + how);
    }
  }
}
