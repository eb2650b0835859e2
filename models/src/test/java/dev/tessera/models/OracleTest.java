package dev.tessera.models;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.BackendProvider;
import dev.tessera.kernels.BackendProvider.Availability;
import dev.tessera.kernels.Backends;
import dev.tessera.kernels.TensorType;
import dev.tessera.kernels.scalar.ScalarBackend;
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
/// backend chooses as the oracle does wherever the oracle's choice is clear.
class OracleTest {
  private static final String TEXT =
      "It was the first warm day of the year, and nobody in the office worked. ".repeat(8);

  private static final int PROMPT = 70; // beyond a block, and beyond Gemma's window
  private static final int CHUNK = 48;
  private static final int CONTINUATION = 12;

  /// How far a logit may be from the oracle's, in relation to the largest of its row: half
  /// precision in the cache. Quantised weights are not tried here: a Q4_1 Llama missed a bound of
  /// 8e-2 on the native backend (0.106 at one logit) while the Vector API, whose activations are
  /// floats, kept it. That eight-bit activations explain it is not shown yet.
  private static final double HALF_PRECISION = 5e-3;

  @TempDir Path directory;

  /// @param vocabulary a vocabulary of the family's kind
  record Case(Family family, String vocabulary, TensorType matrices, double tolerance) {}

  static Stream<Arguments> backendsAndCases() {
    List<Case> cases =
        List.of(
            new Case(Family.LLAMA, "llama-bpe", TensorType.F32, HALF_PRECISION),
            new Case(Family.LLAMA, "llama-spm", TensorType.F16, HALF_PRECISION),
            new Case(Family.QWEN2, "qwen2", TensorType.F16, HALF_PRECISION),
            new Case(Family.QWEN3, "gpt-2", TensorType.BF16, HALF_PRECISION),
            new Case(Family.GEMMA3, "llama-spm", TensorType.F32, HALF_PRECISION));
    return Backends.providers().stream()
        .filter(provider -> !provider.name().equals(ScalarBackend.NAME))
        .flatMap(provider -> cases.stream().map(c -> Arguments.of(provider, provider.name(), c)));
  }

  @ParameterizedTest(name = "{1}: {2}")
  @MethodSource("backendsAndCases")
  void choosesAsTheOracleDoes(BackendProvider provider, String name, Case c) throws Exception {
    Path file =
        TinyModel.of(c.family)
            .seed(11)
            .types(c.matrices, TensorType.F16)
            .vocabularyOf(ReferenceFiles.llamaCpp("ggml-vocab-" + c.vocabulary + ".gguf"))
            .writeGguf(directory.resolve("tiny.gguf"));
    try (Model model = Models.open(file);
        Backend backend = open(provider);
        var oracle = pass(new ScalarBackend(), model);
        var subject = pass(backend, model)) {
      int[] prompt = Arrays.copyOf(model.tokenizer().encode(TEXT, true, false), PROMPT);
      for (int at = 0; at < PROMPT; at += CHUNK) {
        step(oracle, subject, Arrays.copyOfRange(prompt, at, Math.min(at + CHUNK, PROMPT)), c);
      }
      int rows = PROMPT % CHUNK;
      for (int i = 0; i < CONTINUATION; i++) {
        int next = oracle.greedy(rows);
        step(oracle, subject, new int[] {next}, c);
        rows = 1;
      }
    }
  }

  private static Backend open(BackendProvider provider) {
    return switch (provider.open(new BackendOptions(2, "auto"))) {
      case Availability.Ready(var backend) -> backend;
      case Availability.Unavailable(var reason) -> abort(provider.name() + ": " + reason);
    };
  }

  private static ForwardPass pass(Backend backend, Model model) {
    return new ForwardPass(backend, model.spec(), model.weights(), PROMPT + CONTINUATION, CHUNK);
  }

  private static void step(ForwardPass oracle, ForwardPass subject, int[] tokens, Case c) {
    float[][] expected = new float[tokens.length][];
    int[] row = {0};
    oracle.append(tokens, (position, logits) -> expected[row[0]++] = logits.clone());
    row[0] = 0;
    subject.append(tokens, (position, logits) -> compare(position, expected[row[0]++], logits, c));
  }

  private static void compare(int position, float[] expected, float[] found, Case c) {
    double largest = 0;
    for (float logit : expected) {
      largest = Math.max(largest, Math.abs(logit));
    }
    double tolerance = c.tolerance * largest;
    for (int token = 0; token < expected.length; token++) {
      double error = Math.abs(expected[token] - found[token]);
      assertTrue(
          error <= tolerance,
          "position %d, token %d: off by %s of %s".formatted(position, token, error, largest));
    }
    int best = argmax(expected, -1);
    double margin = expected[best] - expected[argmax(expected, best)];
    if (margin > 2 * tolerance) {
      assertEquals(best, argmax(found, -1), "position " + position);
    }
  }

  private static int argmax(float[] logits, int except) {
    int best = except == 0 ? 1 : 0;
    for (int i = 0; i < logits.length; i++) {
      if (i != except && logits[i] > logits[best]) {
        best = i;
      }
    }
    return best;
  }
}
