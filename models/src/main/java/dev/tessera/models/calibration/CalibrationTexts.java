package dev.tessera.models.calibration;

import dev.tessera.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/// What keys are learned from: prose of two registers (the first chapter of *Moby-Dick*, the annual
/// message of 1863), a source file of this project, and facts that are asked for again. Evaluation
/// uses other texts.
final class CalibrationTexts {

  private static final int PROSE_TOKENS = 1472;
  private static final int CODE_TOKENS = 640;
  private static final int FILLER_TOKENS = 320;

  private static final RetrievalText.Wording LOCKERS =
      new RetrievalText.Wording(
          """
          At the station every traveller who leaves a case behind is given a locker and a number \
          that opens it. The clerk writes the numbers down in the order in which the travellers \
          come, and reads them out again in the evening, in whatever order the travellers return. \
          He must not make a mistake, or somebody goes home without a coat.

          """,
          "Locker number of %s:",
          "\n\nThe travellers come back.\n\n",
          List.of(
              "Abigail", "Bernard", "Celia", "Duncan", "Edith", "Fergus", "Gloria", "Hector",
              "Imogen", "Jasper", "Kirsten", "Leonard", "Mabel", "Norman", "Olive", "Percy", "Ruth",
              "Stella", "Tobias", "Ursula"));

  private CalibrationTexts() {}

  /// The tokens of each text.
  static List<int[]> tokens(Tokenizer tokenizer) {
    String prose = read("prose.txt");
    int[] words = tokenizer.encode(prose, true, false);
    int[] code = tokenizer.encode(read("code.txt"), true, false);
    int[] facts = RetrievalText.of(tokenizer, LOCKERS, prose, FILLER_TOKENS, 20).tokens();
    return List.of(
        Arrays.copyOf(words, Math.min(PROSE_TOKENS, words.length)),
        Arrays.copyOf(code, Math.min(CODE_TOKENS, code.length)),
        facts);
  }

  /// What the texts are made from, for the name of what was learned from them.
  static byte[] source() {
    return (read("prose.txt") + read("code.txt") + LOCKERS).getBytes(StandardCharsets.UTF_8);
  }

  private static String read(String name) {
    try (InputStream in = CalibrationTexts.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new IllegalStateException("the calibration text " + name + " is not in the build");
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
