package dev.tessera.models.tokenizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import com.fasterxml.jackson.databind.node.MissingNode;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The model decides a long text piece by piece; a plain Viterbi decides it at its end.
class UnigramModelTest {
  private static final List<String> PIECES =
      List.of("<unk>", "a", "b", "ab", "ba", "aab", "bbbb", "ab\u00e9a", "\u2581", "\u2581a", "aa");
  private static final double[] SCORES = {0, -1, -1.25, -2, -2.25, -3, -4.5, -3, -1, -1.5, -2};
  private static final double UNKNOWN_SCORE = -4.5 - 10;

  private static Tokenizer tokenizer() throws Exception {
    StringBuilder vocabulary = new StringBuilder();
    for (int id = 0; id < SCORES.length; id++) {
      vocabulary.append(id == 0 ? "" : ",");
      vocabulary.append("[\"").append(PIECES.get(id)).append("\",").append(SCORES[id]).append("]");
    }
    String json =
        "{\"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [" + vocabulary + "]}}";
    return HuggingFaceTokenizer.read(
        new ByteArrayInputStream(json.getBytes(StandardCharsets.UTF_8)),
        MissingNode.getInstance(),
        MissingNode.getInstance());
  }

  private static int[] viterbi(String text) {
    double[] best = new double[text.length() + 1];
    int[] token = new int[text.length() + 1];
    int[] start = new int[text.length() + 1];
    Arrays.fill(best, Double.NEGATIVE_INFINITY);
    best[0] = 0;
    for (int i = 0; i < text.length(); i++) {
      boolean known = false;
      for (int length = 1; length <= 4; length++) {
        int id = i + length <= text.length() ? PIECES.indexOf(text.substring(i, i + length)) : -1;
        if (id > 0) {
          known |= length == 1;
          if (best[i] + SCORES[id] > best[i + length]) {
            best[i + length] = best[i] + SCORES[id];
            token[i + length] = id;
            start[i + length] = i;
          }
        }
      }
      if (!known && best[i] + UNKNOWN_SCORE > best[i + 1]) {
        best[i + 1] = best[i] + UNKNOWN_SCORE;
        token[i + 1] = 0;
        start[i + 1] = i;
      }
    }
    List<Integer> backwards = new ArrayList<>();
    for (int end = text.length(); end > 0; end = start[end]) {
      boolean fused = token[end] == 0 && !backwards.isEmpty() && backwards.getLast() == 0;
      if (!fused) {
        backwards.add(token[end]);
      }
    }
    Collections.reverse(backwards);
    return backwards.stream().mapToInt(Integer::intValue).toArray();
  }

  /// Of letters that overlap everywhere, of words, of runs without a known character, of all.
  @ParameterizedTest
  @ValueSource(strings = {"ab", "ab\u2581", "\u00e9\u00e8", "aab\u00e9\u2581", "a", "b\u00e9"})
  void choosesAsIfItDecidedAtTheEnd(String alphabet) throws Exception {
    Tokenizer tokenizer = tokenizer();
    for (long seed = 1; seed <= 5; seed++) {
      var random = new Random(seed);
      StringBuilder text = new StringBuilder();
      while (text.length() < 20_000) {
        int run = random.nextInt(100) == 0 ? 3000 : 1;
        char c = alphabet.charAt(random.nextInt(alphabet.length()));
        text.repeat(c, run);
      }
      assertArrayEquals(
          viterbi(text.toString()),
          tokenizer.encode(text.toString(), false, false),
          "seed " + seed);
    }
  }
}
