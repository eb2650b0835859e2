package dev.tessera.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.tessera.kernels.BackendProvider.Availability;
import dev.tessera.kernels.cpu.EmulatedBackendProvider;
import dev.tessera.kernels.cpu.NativeBackendProvider;
import dev.tessera.kernels.scalar.ScalarBackend;
import dev.tessera.kernels.testing.PagedSequences;
import dev.tessera.kernels.testing.RandomTensors;
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

/// What every backend owes its callers, measured against the oracle.
final class BackendContractTest {

  /// A backend in one of its variants.
  record Subject(BackendProvider provider, String isa) {

    Backend open(int threads) {
      return switch (provider.open(new BackendOptions(threads, isa))) {
        case Availability.Ready(var backend) -> backend;
        case Availability.Unavailable(var reason) -> abort(this + ": " + reason);
      };
    }

    @Override
    public String toString() {
      return provider.name() + "-" + isa;
    }
  }

  static Stream<Subject> subjects() {
    var subjects = new ArrayList<Subject>();
    for (BackendProvider provider : Backends.providers()) {
      if (provider instanceof NativeBackendProvider) {
        for (String isa : List.of("avx512", "avx2", "portable")) {
          subjects.add(new Subject(provider, isa));
        }
      } else {
        subjects.add(new Subject(provider, "auto"));
      }
    }
    subjects.add(new Subject(new EmulatedBackendProvider(), "auto"));
    return subjects.stream();
  }

  // ---- attention

  /// @param heads query heads; the rest are the fields of [AttentionProblem]
  record AttentionCase(
      int heads,
      int kvHeads,
      int headDim,
      int queries,
      int context,
      float softCap,
      int window,
      int sinkTokens) {}

  static Stream<Arguments> attentionCases() {
    var cases = new ArrayList<AttentionCase>();
    for (int context : new int[] {1, 2, 63, 64, 65, 5 * 64 + 3}) {
      cases.add(new AttentionCase(4, 2, 64, 1, context, 0, 0, 0));
      cases.add(new AttentionCase(4, 2, 64, context, context, 0, 0, 0));
    }
    for (int queriesPerKvHead = 1; queriesPerKvHead <= 8; queriesPerKvHead++) {
      cases.add(new AttentionCase(2 * queriesPerKvHead, 2, 32, 3, 130, 0, 0, 0));
    }
    for (int headDim : new int[] {8, 16, 40, 64, 80, 96, 128, 256}) {
      cases.add(new AttentionCase(3, 1, headDim, 5, 100, 0, 0, 0));
    }
    for (int window : new int[] {1, 2, 63, 64, 65, 100, 200}) {
      cases.add(new AttentionCase(3, 3, 16, 70, 200, 0, window, 0));
      cases.add(new AttentionCase(3, 3, 16, 70, 200, 0, window, 4));
    }
    cases.add(new AttentionCase(2, 1, 16, 1, 300, 0, 20, 64));
    cases.add(new AttentionCase(2, 1, 16, 1, 300, 0, 20, 65));
    cases.add(new AttentionCase(2, 1, 24, 40, 90, 2.5f, 0, 0));
    cases.add(new AttentionCase(8, 2, 40, 33, 257, 50, 77, 1));
    return subjects().flatMap(subject -> cases.stream().map(c -> Arguments.of(subject, c)));
  }

  /// The inputs have eight significant bits, so every tile holds them exactly and only the
  /// arithmetic differs: a score is off by at most headDim roundings of its largest terms, a weight
  /// by that much relative to itself, and the sums by a rounding per key.
  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("attentionCases")
  void attendsLikeTheTextbook(Subject subject, AttentionCase c) {
    AttentionProblem problem = problem(c, 1, 17);
    try (Backend backend = subject.open(2);
        Backend oracle = new ScalarBackend()) {
      float[] actual = backend.primitives().attend(problem);
      float[] expected = oracle.primitives().attend(problem);
      double largestTerm = problem.scale() * max(problem.q()) * max(problem.k());
      double tolerance = (c.headDim() * largestTerm + c.context()) * 0x1p-24 * max(problem.v());
      assertClose(expected, actual, i -> tolerance);
    }
  }

  /// Scores up to several hundred: the running maximum has to be taken away before the exponential.
  @ParameterizedTest
  @MethodSource("subjects")
  void attendsToLargeScores(Subject subject) {
    AttentionProblem problem = problem(new AttentionCase(2, 2, 64, 9, 140, 0, 0, 0), 8, 18);
    try (Backend backend = subject.open(1);
        Backend oracle = new ScalarBackend()) {
      double largestTerm = problem.scale() * max(problem.q()) * max(problem.k());
      double tolerance = (64 * largestTerm + 140) * 0x1p-24 * max(problem.v());
      assertClose(
          oracle.primitives().attend(problem),
          backend.primitives().attend(problem),
          i -> tolerance);
    }
  }

  private static AttentionProblem problem(AttentionCase c, double spread, long seed) {
    var random = new Random(seed);
    return new AttentionProblem(
        c.heads(),
        c.kvHeads(),
        c.headDim(),
        c.queries(),
        c.context(),
        (float) (1 / Math.sqrt(c.headDim())),
        c.softCap(),
        c.window(),
        c.sinkTokens(),
        RandomTensors.coarseGaussians(c.queries() * c.heads() * c.headDim(), spread, random),
        RandomTensors.coarseGaussians(c.context() * c.kvHeads() * c.headDim(), spread, random),
        RandomTensors.coarseGaussians(c.context() * c.kvHeads() * c.headDim(), 1, random));
  }

  // ---- matrix products

  static Stream<Arguments> products() {
    return subjects()
        .flatMap(subject -> Arrays.stream(TensorType.values()).map(t -> Arguments.of(subject, t)));
  }

  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("products")
  void multipliesWeightsOfEveryType(Subject subject, TensorType type) {
    var random = new Random(19);
    int[] columnCounts =
        type.blockElements() == 256
            ? new int[] {256, 512}
            : type.blockElements() == 32 ? new int[] {32, 96, 576} : new int[] {8, 40, 64, 200};
    try (Backend backend = subject.open(2)) {
      for (int columns : columnCounts) {
        for (int rows : new int[] {1, 31, 32, 33, 100}) {
          Tensor weights = RandomTensors.matrix("w", type, rows, columns, 1, random);
          for (int tokens : new int[] {1, 2, 5, 7, 13, 64}) {
            float[] x = RandomTensors.gaussians(tokens * columns, 0, 1, random);
            assertProduct(weights, x, tokens, backend.primitives().multiply(weights, x, tokens));
          }
        }
      }
    }
  }

  /// A backend may round activations to eight bits in groups of 32 of a row, to the nearest: that
  /// moves x by at most 1/254 of the group's largest. Everything else is single precision; a scale
  /// per group adds a few roundings to the one per term.
  private static void assertProduct(Tensor weights, float[] x, int tokens, float[] actual) {
    float[] w = Dequantizer.all(weights);
    int rows = weights.rows();
    int columns = weights.columns();
    boolean mayQuantise = QuantisedRow.holds(weights.type());
    assertEquals(tokens * rows, actual.length);
    for (int token = 0; token < tokens; token++) {
      for (int row = 0; row < rows; row++) {
        double sum = 0;
        double terms = 0;
        double quantisation = 0;
        for (int first = 0; first < columns; first += 32) {
          double largest = 0;
          double magnitudes = 0;
          for (int i = first; i < Math.min(columns, first + 32); i++) {
            double weight = w[row * columns + i];
            double value = x[token * columns + i];
            sum += weight * value;
            terms += Math.abs(weight * value);
            magnitudes += Math.abs(weight);
            largest = Math.max(largest, Math.abs(value));
          }
          quantisation += largest * magnitudes / 254;
        }
        double tolerance =
            (columns + 16) * 0x1p-24 * (terms + quantisation) + (mayQuantise ? quantisation : 0);
        assertEquals(sum, actual[token * rows + row], tolerance, "token " + token + ", row " + row);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("subjects")
  void aRowOfAProductIgnoresTheRowsBesideIt(Subject subject) {
    var random = new Random(20);
    try (Backend one = subject.open(1);
        Backend two = subject.open(2)) {
      for (TensorType type : TensorType.values()) {
        Tensor weights = RandomTensors.matrix("w", type, 70, 256, 1, random);
        float[] x = RandomTensors.gaussians(29 * 256, 0, 1, random);
        float[] together = two.primitives().multiply(weights, x, 29);
        for (int token = 0; token < 29; token++) {
          float[] alone =
              one.primitives()
                  .multiply(weights, Arrays.copyOfRange(x, token * 256, (token + 1) * 256), 1);
          assertArrayEquals(
              alone,
              Arrays.copyOfRange(together, token * 70, (token + 1) * 70),
              type + ", token " + token);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("subjects")
  void normalisesByTheRootMeanSquare(Subject subject) {
    var random = new Random(21);
    try (Backend backend = subject.open(1);
        Backend oracle = new ScalarBackend()) {
      for (int width : new int[] {8, 40, 64, 576, 1000}) {
        float[] x = RandomTensors.gaussians(3 * width, 0.5, 3, random);
        float[] weight = RandomTensors.gaussians(width, 1, 0.3, random);
        float[] expected = oracle.primitives().rmsNorm(x, weight, 1e-5f);
        // The mean of squares takes a rounding per term, its root halves their effect.
        assertClose(
            expected,
            backend.primitives().rmsNorm(x, weight, 1e-5f),
            i -> (width + 8) * 0x1p-24 * Math.abs(expected[i]));
      }
    }
  }

  // ---- whole decoders

  /// A decoder, and how far its logits may be from the oracle's, in relation to their size.
  ///
  /// @param exact the error of a backend with single precision activations and f32 tiles: roundings
  /// @param rounded that of half precision tiles (2^-11 per element) and, where the weights are
  ///   quantised, of eight-bit activations (about 1/254 of a group's largest per product), which
  ///   some ten products in a row add up
  record Model(String name, TinyDecoder decoder, double exact, double rounded) {
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
    return new Model(name, builder.build(name.hashCode()), 1e-4, 4e-3);
  }

  private static Model quantised(TensorType type, TensorType embedding) {
    var builder = TinyDecoder.builder().types(type, embedding);
    if (type.blockElements() == 256) {
      builder.hidden(256).heads(4, 2, 64).feedForward(512);
    }
    return new Model(type + " and " + embedding, builder.build(type.ordinal()), 1e-4, 5e-2);
  }

  static Stream<Arguments> subjectsAndModels() {
    return subjects().flatMap(s -> models().stream().map(model -> Arguments.of(s, model)));
  }

  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("subjectsAndModels")
  void computesTheLogitsOfTheOracle(Subject subject, Model model) {
    TinyDecoder decoder = model.decoder();
    int[] tokens = tokens(decoder, 150, 1);
    float[][] expected;
    try (Backend oracle = new ScalarBackend();
        Run run = new Run(oracle, decoder, 2)) {
      expected = run.sequences.append(0, tokens);
    }
    try (Backend backend = subject.open(2);
        Run run = new Run(backend, decoder, 2)) {
      run.sequences.append(1, tokens(decoder, 70, 2)); // so that slabs lie apart
      var actual = new ArrayList<float[]>();
      for (int[] chunk : chunks(tokens, 64)) {
        actual.addAll(List.of(run.sequences.append(0, chunk)));
      }
      double tolerance =
          backend.exactElement() == dev.tessera.kvcache.ElementType.F32
              ? model.exact()
              : model.rounded();
      for (int row = 0; row < tokens.length; row++) {
        double error = relativeError(expected[row], actual.get(row));
        assertTrue(error <= tolerance, "row " + row + " is off by " + error);
      }
    }
  }

  /// A row may lie beside others, in chunks of any size, on any number of threads.
  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("subjectsAndModels")
  void givesTheSameBitsHoweverTheTokensArrive(Subject subject, Model model) {
    TinyDecoder decoder = model.decoder();
    int[] tokens = tokens(decoder, 150, 3);
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

  private static double max(float[] x) {
    double max = 0;
    for (float value : x) {
      max = Math.max(max, Math.abs(value));
    }
    return max;
  }

  private interface Tolerance {
    double at(int index);
  }

  private static void assertClose(float[] expected, float[] actual, Tolerance tolerance) {
    assertEquals(expected.length, actual.length);
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], actual[i], tolerance.at(i), "element " + i);
    }
  }

  private static void assertBits(float[][] expected, List<float[]> actual, String how) {
    assertEquals(expected.length, actual.size());
    for (int row = 0; row < expected.length; row++) {
      assertArrayEquals(expected[row], actual.get(row), "row " + row + " " + how);
    }
  }

  private static double relativeError(float[] expected, float[] actual) {
    double error = 0;
    double size = 0;
    for (int i = 0; i < expected.length; i++) {
      double difference = (double) expected[i] - actual[i];
      error += difference * difference;
      size += (double) expected[i] * expected[i];
    }
    return Math.sqrt(error / size);
  }
}
