package dev.tessera.server.eval;

import dev.tessera.models.calibration.RetrievalText;
import java.util.List;
import java.util.stream.IntStream;

/// A text that the model reads, and where it is watched.
///
/// @param tokens what it reads
/// @param rows positions whose logits are compared, ascending; the token behind each is known
/// @param answers what must be found again, `rows` being exactly the positions before the answers'
///   tokens; empty where the text is just continued
record EvaluationText(String name, int[] tokens, int[] rows, List<RetrievalText.Answer> answers) {

  /// Begins the names of texts in which facts are to be found.
  static final String FACTS = "retrieval";

  /// Every second position that has a past long enough for tiles to have cooled.
  private static final int FIRST_ROW = 512;

  private static final int ROW_STEP = 2;

  static EvaluationText continued(String name, int[] tokens) {
    int[] rows =
        IntStream.range(FIRST_ROW, tokens.length - 1)
            .filter(row -> (row - FIRST_ROW) % ROW_STEP == 0)
            .toArray();
    return new EvaluationText(name, tokens, rows, List.of());
  }

  static EvaluationText asked(String name, RetrievalText text) {
    int[] rows =
        text.answers().stream()
            .flatMapToInt(answer -> IntStream.range(answer.start() - 1, answer.end() - 1))
            .toArray();
    return new EvaluationText(name, text.tokens(), rows, text.answers());
  }

  /// Whether it is none of the texts of facts, but has something else to be found.
  boolean isTask() {
    return isRetrieval() && !name.startsWith(FACTS);
  }

  boolean isRetrieval() {
    return !answers.isEmpty();
  }
}
