package dev.tessera.kernels;

import static dev.tessera.kernels.testing.Closeness.relativeError;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.scalar.ScalarBackend;
import dev.tessera.kernels.testing.PagedSequences;
import dev.tessera.kernels.testing.SampleCodes;
import dev.tessera.kernels.testing.SampleCodes.Ladder;
import dev.tessera.kernels.testing.SampleForms;
import dev.tessera.kernels.testing.Subject;
import dev.tessera.kernels.testing.TinyDecoder;
import dev.tessera.kvcache.CoolingRule;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.IntFunction;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// Whole steps over tiles that cool as their sequence grows.
final class CoolingContractTest {

  /// @param keys codes by head dimension
  /// @param values the same
  /// @param tokens of the sequence under test
  record Model(
      String name,
      TinyDecoder decoder,
      IntFunction<List<Ladder>> keys,
      IntFunction<List<Ladder>> values,
      CoolingRule rule,
      int tokens) {
    @Override
    public String toString() {
      return name;
    }

    /// Every layer and head has other codes.
    CooledForms forms(Backend backend) {
      DecoderSpec spec = decoder.spec();
      List<@Nullable List<TileCode>> keyCodes = codes(keys, 3);
      List<@Nullable List<TileCode>> valueCodes = codes(values, 5);
      return SampleForms.of(spec.kv(), backend.exactSlabs(spec), rule, keyCodes, valueCodes, 30);
    }

    /// @param exact the place of the one that has no code
    private List<@Nullable List<TileCode>> codes(IntFunction<List<Ladder>> ladders, int exact) {
      var codes = new ArrayList<@Nullable List<TileCode>>();
      ladders.apply(decoder.spec().headDim()).forEach(ladder -> codes.add(ladder.codes()));
      codes.add(Math.min(exact, codes.size()), null);
      return codes;
    }
  }

  static List<Model> models() {
    return List.of(
        model("llama", TinyDecoder.builder().layers(4), 1, List.of(1), 331),
        model("rungs", TinyDecoder.builder().layers(5).heads(6, 3, 32), 1, List.of(1, 2, 3), 390),
        model("nothing first", TinyDecoder.builder().heads(8, 1, 40), 0, List.of(2), 300),
        model(
            "gemma: windows beside",
            TinyDecoder.builder()
                .layers(4)
                .window(70, 0, 2)
                .headNorms()
                .softCaps(5, 3)
                .rope(RopeSpec.Pairing.SPLIT, 16, 1),
            1,
            List.of(1, 3),
            331),
        model("biases", TinyDecoder.builder().bias().heads(4, 4, 24), 1, List.of(1), 270),
        model("quantised", quantised(), 1, List.of(1, 2), 270),
        unnested());
  }

  private static Model unnested() {
    return new Model(
        "codes that are no ladder",
        TinyDecoder.builder().layers(6).heads(4, 2, 40).build(7),
        SampleCodes::unnestedKeys,
        SampleCodes::unnestedValues,
        new CoolingRule(1, List.of(1, 2)),
        270);
  }

  private static TinyDecoder.Builder quantised() {
    return TinyDecoder.builder()
        .types(TensorType.Q8_0, TensorType.Q8_0)
        .hidden(256)
        .heads(4, 2, 64)
        .feedForward(256);
  }

  private static Model model(
      String name, TinyDecoder.Builder builder, int firstBlocks, List<Integer> ages, int tokens) {
    return new Model(
        name,
        builder.build(name.hashCode()),
        SampleCodes::keys,
        SampleCodes::values,
        new CoolingRule(firstBlocks, ages),
        tokens);
  }

  static Stream<Arguments> subjectsAndModels() {
    return Subject.all()
        .flatMap(subject -> models().stream().map(model -> Arguments.of(subject, model)));
  }

  /// A code whose channel lies within a rounding of a bound may differ from the oracle's: such a
  /// tip moves one channel of one token by a level. At two bits that is a standard deviation, which
  /// changes the token's score by about |q| |k| / headDim, a fifth at 32 channels, and with it a
  /// weight of some hundredths: less than a hundredth of the result, for every later query that
  /// reads the tile. It is rare, so most rows agree to a part in a thousand. Activations of eight
  /// bits tip in every row; they are bounded as [Agreement] derives.
  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("subjectsAndModels")
  void computesTheLogitsOfTheOracle(Subject subject, Model model) {
    int[] tokens = tokens(model, model.tokens(), 1);
    try (Backend backend = subject.open(2);
        Backend oracle = ScalarBackend.roundingAs(backend)) {
      float[][] expected = run(oracle, model, tokens, 64);
      float[][] actual = run(backend, model, tokens, 64);
      boolean rounds = backend.activationFormat() == ActivationFormat.EIGHT_BIT;
      boolean coarse = rounds && model.name().equals("quantised");
      double bound = coarse ? 0.047 : 1e-2;
      int tipped = 0;
      for (int row = 0; row < tokens.length; row++) {
        double error = relativeError(expected[row], actual[row]);
        assertTrue(error <= bound, "row " + row + " is off by " + error);
        tipped += error > 1e-3 ? 1 : 0;
      }
      assertTrue(coarse || 4 * tipped <= tokens.length, tipped + " of " + tokens.length + " rows");
      float[][] exact = exact(oracle, model, tokens);
      assertTrue(relativeError(exact[tokens.length - 1], expected[tokens.length - 1]) > 1e-2);
    }
  }

  private static float[][] run(Backend backend, Model model, int[] tokens, int chunk) {
    return run(backend, model, tokens, chunk, null);
  }

  private static float[][] run(
      Backend backend,
      Model model,
      int[] tokens,
      int chunk,
      PagedSequences.@Nullable FormChoice choice) {
    try (Run run = new Run(backend, model, model.forms(backend), choice, 2)) {
      run.sequences.append(1, tokens(model, 70, 2)); // so that slabs lie apart
      var logits = new ArrayList<float[]>();
      for (int from = 0; from < tokens.length; from += chunk) {
        int[] part = Arrays.copyOfRange(tokens, from, Math.min(tokens.length, from + chunk));
        logits.addAll(List.of(run.sequences.append(0, part)));
      }
      return logits.toArray(float[][]::new);
    }
  }

  /// Any form of a block may be read at any age: here every block stops at a form of its own, and
  /// some begin late. Chunks cross borders between blocks. The bounds are those of the rule's
  /// forms.
  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("subjectsAndModels")
  void readsTheFormsThatTablesName(Subject subject, Model model) {
    int[] tokens = tokens(model, model.tokens(), 8);
    PagedSequences.FormChoice choice =
        (sequence, query, block) ->
            Math.min(
                (block * 5 + sequence) % (model.rule().forms() + 1),
                model.rule().form(query - (block % 3 == 0 ? 1 : 0), block));
    try (Backend backend = subject.open(2);
        Backend oracle = ScalarBackend.roundingAs(backend)) {
      float[][] expected = run(oracle, model, tokens, 50, choice);
      float[][] actual = run(backend, model, tokens, 50, choice);
      boolean rounds = backend.activationFormat() == ActivationFormat.EIGHT_BIT;
      double bound = rounds && model.name().equals("quantised") ? 0.047 : 1e-2;
      for (int row = 0; row < tokens.length; row++) {
        double error = relativeError(expected[row], actual[row]);
        assertTrue(error <= bound, "row " + row + " is off by " + error);
      }
      float[][] byRule = run(oracle, model, tokens, 50);
      assertTrue(relativeError(byRule[tokens.length - 1], expected[tokens.length - 1]) > 1e-3);
    }
  }

  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("fastSubjectsAndModels")
  void givesTheSameBitsWhereTheRulesFormsAreSpeltOut(Subject subject, Model model) {
    int[] tokens = tokens(model, model.tokens(), 9);
    try (Backend backend = subject.open(2)) {
      float[][] expected = run(backend, model, tokens, 64);
      float[][] actual =
          run(
              backend,
              model,
              tokens,
              64,
              (sequence, query, block) -> model.rule().form(query, block));
      for (int row = 0; row < tokens.length; row++) {
        assertArrayEquals(expected[row], actual[row], "row " + row);
      }
    }
  }

  private static float[][] exact(Backend backend, Model model, int[] tokens) {
    try (Run run = new Run(backend, model, CooledForms.NONE, 1)) {
      return run.sequences.append(0, tokens);
    }
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

  /// Which form a query reads depends on positions alone: chunks of any size, company, and the
  /// number of threads change no bit.
  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("fastSubjectsAndModels")
  void givesTheSameBitsHoweverTheTokensArrive(Subject subject, Model model) {
    int[] tokens = tokens(model, model.tokens(), 3);
    float[][] expected;
    try (Backend backend = subject.open(1);
        Run run = new Run(backend, model, model.forms(backend), 1)) {
      expected = run.sequences.append(0, tokens);
    }
    for (int chunk : new int[] {1, 7, 64, 100}) {
      try (Backend backend = subject.open(1 + chunk % 3);
          Run run = new Run(backend, model, model.forms(backend), 3)) {
        List<float[]> actual = inCompany(run, model, tokens, chunk);
        for (int row = 0; row < tokens.length; row++) {
          assertArrayEquals(
              expected[row], actual.get(row), "row " + row + " in chunks of " + chunk);
        }
      }
    }
  }

  /// Appends the tokens in chunks, beside another sequence whose tiles cool as well.
  private static List<float[]> inCompany(Run run, Model model, int[] tokens, int chunk) {
    run.sequences.append(0, tokens(model, 180, 4));
    var logits = new ArrayList<float[]>();
    for (int from = 0; from < tokens.length; from += chunk) {
      var step = new TreeMap<Integer, int[]>();
      if (from / chunk % 3 != 2 && from / chunk < 100) {
        step.put(0, tokens(model, 1, 5 + from));
      }
      step.put(1, Arrays.copyOfRange(tokens, from, Math.min(tokens.length, from + chunk)));
      logits.addAll(List.of(run.sequences.append(step).get(1)));
    }
    return logits;
  }

  /// A tier may take slabs away and bring them back to other places, in another session.
  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("fastSubjectsAndModels")
  void goesOnFromSlabsThatWereCopied(Subject subject, Model model) {
    int[] tokens = tokens(model, model.tokens(), 6);
    int border = model.tokens() / 64 * 64;
    try (Backend backend = subject.open(2);
        Run first = new Run(backend, model, model.forms(backend), 2);
        Run second = new Run(backend, model, model.forms(backend), 2)) {
      first.sequences.append(0, Arrays.copyOf(tokens, border));
      second.sequences.append(1, tokens(model, 70, 7)); // so that slabs lie elsewhere
      first.sequences.copyTo(second.sequences, 0, backend.exactSlabs(model.decoder().spec()));
      int[] rest = Arrays.copyOfRange(tokens, border, tokens.length);
      float[][] expected = first.sequences.append(0, rest);
      float[][] actual = second.sequences.append(0, rest);
      for (int row = 0; row < rest.length; row++) {
        assertArrayEquals(expected[row], actual[row], "row " + row);
      }
    }
  }

  /// Memory may be so short that nothing can be computed before something has cooled.
  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("fastSubjectsAndModels")
  void aStepWithoutRowsCoolsAsOneWithRows(Subject subject, Model model) {
    int[] tokens = tokens(model, 64 * (2 + model.rule().ageBlocks().getFirst()), 10);
    int[] next = tokens(model, 3, 11);
    try (Backend backend = subject.open(2);
        Run together = new Run(backend, model, model.forms(backend), 1);
        Run apart = new Run(backend, model, model.forms(backend), 1)) {
      together.sequences.append(0, tokens);
      float[][] expected = together.sequences.append(0, next);

      apart.sequences.append(0, tokens);
      StepBatch both = apart.sequences.batch(new TreeMap<>(Map.of(0, next)));
      assertTrue(both.coolings().stream().anyMatch(coolings -> coolings.count() > 0));
      apart.run(PagedSequences.withoutRows(both));
      apart.run(
          new StepBatch(
              both.tokenIds(),
              both.rowStarts(),
              both.firstPositions(),
              both.tables(),
              both.logitRows(),
              StepBatch.Coolings.none(both.tables().length)));
      for (int row = 0; row < next.length; row++) {
        var logits = new float[model.decoder().spec().vocabulary()];
        apart.session.readLogits(row, logits);
        assertArrayEquals(expected[row], logits, "row " + row);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("everySubject")
  void announcesItsFormsOnce(Subject subject) {
    Model model = models().getFirst();
    try (Backend backend = subject.open(1);
        Run run = new Run(backend, model, CooledForms.NONE, 1)) {
      run.session.cool(model.forms(backend));
      assertThrows(IllegalStateException.class, () -> run.session.cool(model.forms(backend)));
    }
  }

  static Stream<Subject> everySubject() {
    return Subject.all();
  }

  /// A loaded decoder with its sequences.
  private static final class Run implements AutoCloseable {
    final DecoderSession session;
    final PagedSequences sequences;

    Run(Backend backend, Model model, CooledForms forms, int sequenceCount) {
      this(backend, model, forms, null, sequenceCount);
    }

    Run(
        Backend backend,
        Model model,
        CooledForms forms,
        PagedSequences.@Nullable FormChoice choice,
        int sequenceCount) {
      TinyDecoder decoder = model.decoder();
      SessionLimits limits = PagedSequences.limits(decoder.spec(), sequenceCount, 700);
      session = backend.load(decoder.spec(), decoder.weights(), limits, share -> {});
      if (!forms.groups().isEmpty()) {
        session.cool(forms);
      }
      sequences = new PagedSequences(session, limits, forms, choice, 31);
    }

    void run(StepBatch batch) {
      session.submit(batch);
      session.await();
    }

    @Override
    public void close() {
      session.close();
    }
  }

  private static int[] tokens(Model model, int count, long seed) {
    return new Random(seed).ints(count, 0, model.decoder().spec().vocabulary()).toArray();
  }
}
