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
public final class CalibrationTexts {

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
    return List.of(
        prose(tokenizer), text(tokenizer, "code.txt", CODE_TOKENS), facts(tokenizer).tokens());
  }

  /// Prose that goes on.
  public static int[] prose(Tokenizer tokenizer) {
    return text(tokenizer, "prose.txt", PROSE_TOKENS);
  }

  /// Facts that are asked for again.
  public static RetrievalText facts(Tokenizer tokenizer) {
    return RetrievalText.of(tokenizer, LOCKERS, read("prose.txt"), FILLER_TOKENS, 20);
  }

  private static int[] text(Tokenizer tokenizer, String file, int most) {
    int[] tokens = tokenizer.encode(read(file), true, false);
    return Arrays.copyOf(tokens, Math.min(most, tokens.length));
  }

  /// What the texts are made from, for the name of what was learned from them.
  public static byte[] source() {
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
