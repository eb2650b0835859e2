package dev.tessera.models;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.BackendProvider;
import dev.tessera.kernels.BackendProvider.Availability;
import dev.tessera.kernels.Backends;
import dev.tessera.kernels.QuantisedRow;
import dev.tessera.kernels.TensorType;
import dev.tessera.kernels.scalar.ScalarBackend;
import dev.tessera.kernels.testing.Agreement;
import dev.tessera.models.testing.ForwardPass;
import dev.tessera.models.testing.ReferenceFiles;
import dev.tessera.models.testing.TinyModel;
import dev.tessera.models.testing.TinyModel.Family;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// Random models of every architecture on real vocabularies, from the file to the next token: every
/// backend computes the logits of the oracle that rounds as it does, and chooses the same tokens.
class OracleTest {
  private static final String TEXT =
      "It was the first warm day of the year, and nobody in the office worked. ".repeat(8);

  private static final int CHUNK = 48;

  @TempDir Path directory;

  /// @param vocabulary a vocabulary of the family's kind
  /// @param prompts tokens of each prompt, cut one behind the other from the text
  /// @param continuation tokens that are chosen after each
  record Case(
      Family family,
      String vocabulary,
      TensorType matrices,
      TensorType embedding,
      int[] prompts,
      int continuation) {

    /// One prompt beyond a block, and beyond Gemma's window.
    static Case floats(Family family, String vocabulary, TensorType matrices) {
      return new Case(family, vocabulary, matrices, TensorType.F16, new int[] {70}, 12);
    }

    /// Short ones: see [Agreement].
    static Case quantised(
        Family family, String vocabulary, TensorType matrices, TensorType embedding) {
      return new Case(family, vocabulary, matrices, embedding, new int[] {1, 3, 6, 6, 6, 6}, 4);
    }

    @Override
    public String toString() {
      return family + ", " + vocabulary + ", " + matrices + " and " + embedding;
    }
  }

  static Stream<Arguments> backendsAndCases() {
    List<Case> cases =
        List.of(
            Case.floats(Family.LLAMA, "llama-bpe", TensorType.F32),
            Case.floats(Family.LLAMA, "llama-spm", TensorType.F16),
            Case.floats(Family.QWEN2, "qwen2", TensorType.F16),
            Case.floats(Family.QWEN3, "gpt-2", TensorType.BF16),
            Case.floats(Family.GEMMA3, "llama-spm", TensorType.F32),
            Case.quantised(Family.LLAMA, "llama-spm", TensorType.Q4_1, TensorType.Q8_0),
            Case.quantised(Family.QWEN2, "gpt-2", TensorType.Q4_0, TensorType.Q8_0),
            Case.quantised(Family.QWEN3, "gpt-2", TensorType.Q5_0, TensorType.Q5_1),
            Case.quantised(Family.GEMMA3, "llama-spm", TensorType.Q8_0, TensorType.Q8_0),
            Case.quantised(Family.LLAMA, "llama-spm", TensorType.Q4_K, TensorType.Q6_K));
    return Backends.providers().stream()
        .filter(provider -> !provider.name().equals(ScalarBackend.NAME))
        .flatMap(provider -> cases.stream().map(c -> Arguments.of(provider, provider.name(), c)));
  }

  @ParameterizedTest(name = "{1}: {2}")
  @MethodSource("backendsAndCases")
  void choosesAsTheOracleDoes(BackendProvider provider, String name, Case c) throws Exception {
    TinyModel recipe = TinyModel.of(c.family).seed(11).types(c.matrices, c.embedding);
    if (c.matrices.blockElements() == 256) {
      recipe.hidden(256).heads(4, 2, 64).feedForward(512);
    }
    Path file =
        recipe
            .vocabularyOf(ReferenceFiles.llamaCpp("ggml-vocab-" + c.vocabulary + ".gguf"))
            .writeGguf(directory.resolve("tiny.gguf"));
    try (Model model = Models.open(file);
        Backend backend = open(provider);
        Backend oracle = ScalarBackend.roundingAs(backend)) {
      int[] text = model.tokenizer().encode(TEXT, true, false);
      int layers = model.spec().layers().size();
      var agreement = new Agreement(backend, layers, QuantisedRow.holds(c.matrices));
      int from = 0;
      for (int count : c.prompts) {
        try (var expected = pass(oracle, model);
            var actual = pass(backend, model)) {
          int[] prompt = Arrays.copyOfRange(text, from, from + count);
          compare(expected, actual, prompt, c.continuation, agreement);
        }
        from += count;
      }
      agreement.finish();
    }
  }

  private static Backend open(BackendProvider provider) {
    return switch (provider.open(new BackendOptions(2, "auto"))) {
      case Availability.Ready(var backend) -> backend;
      case Availability.Unavailable(var reason) -> abort(provider.name() + ": " + reason);
    };
  }

  private static ForwardPass pass(Backend backend, Model model) {
    return new ForwardPass(backend, model.spec(), model.weights(), 128, CHUNK);
  }

  private static void compare(
      ForwardPass oracle,
      ForwardPass subject,
      int[] prompt,
      int continuation,
      Agreement agreement) {
    int next = -1;
    for (int at = 0; at < prompt.length; at += CHUNK) {
      int[] chunk = Arrays.copyOfRange(prompt, at, Math.min(at + CHUNK, prompt.length));
      next = step(oracle, subject, chunk, agreement);
    }
    for (int i = 0; i < continuation; i++) {
      next = step(oracle, subject, new int[] {next}, agreement);
    }
  }

  /// Appends tokens to both; the next token is the oracle's choice, and the subject's wherever the
  /// oracle prefers it by more than what the logits differ.
  private static int step(
      ForwardPass oracle, ForwardPass subject, int[] tokens, Agreement agreement) {
    float[][] expected = new float[tokens.length][];
    int[] row = {0};
    oracle.append(tokens, (position, logits) -> expected[row[0]++] = logits.clone());
    row[0] = 0;
    double[] error = {0};
    subject.append(
        tokens,
        (position, logits) ->
            error[0] = agreement.row("position " + position, expected[row[0]++], logits));
    int best = oracle.greedy(tokens.length);
    float[] last = expected[tokens.length - 1];
    double second = Double.NEGATIVE_INFINITY;
    for (int token = 0; token < last.length; token++) {
      second = token == best ? second : Math.max(second, last[token]);
    }
    if (last[best] - second > 2 * error[0]) {
      assertEquals(best, subject.greedy(tokens.length), "the token after the last");
    }
    return best;
  }
}
