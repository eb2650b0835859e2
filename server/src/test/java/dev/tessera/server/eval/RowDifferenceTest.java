package dev.tessera.server.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

final class RowDifferenceTest {

  /// Logits of a distribution, shifted: only differences count.
  private static float[] logits(double shift, double... probabilities) {
    var logits = new float[probabilities.length];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = (float) (Math.log(probabilities[i]) + shift);
    }
    return logits;
  }

  @Test
  void measuresWhatTextbooksDefine() {
    var difference = RowDifference.of(logits(3, 0.5, 0.25, 0.25), logits(-7, 0.25, 0.5, 0.25), 0);
    // 0.5 ln(0.5/0.25) + 0.25 ln(0.25/0.5) + 0
    assertEquals(0.25 * Math.log(2), difference.divergence(), 1e-6); // logits are floats
    assertFalse(difference.agrees());
    assertEquals(Math.log(2), difference.exactLoss(), 1e-6);
    assertEquals(Math.log(4), difference.loss(), 1e-6);
    assertTrue(difference.exactHit());
    assertFalse(difference.hit());
  }

  @Test
  void isNothingBetweenEquals() {
    float[] logits = logits(0, 0.1, 0.2, 0.7);
    var difference = RowDifference.of(logits, logits.clone(), 1);
    assertEquals(0, difference.divergence(), 1e-15);
    assertTrue(difference.agrees());
  }

  /// An item is found when all its tokens are; it counts when exact tiles find it.
  @Test
  void countsAnswersAsAWhole() {
    var text =
        new EvaluationText(
            "three questions of two tokens",
            new int[20],
            new int[] {3, 4, 7, 8, 11, 12},
            List.of(
                new dev.tessera.models.calibration.RetrievalText.Answer(4, 6),
                new dev.tessera.models.calibration.RetrievalText.Answer(8, 10),
                new dev.tessera.models.calibration.RetrievalText.Answer(12, 14)));
    boolean[] exact = {true, true, true, true, true, false};
    boolean[] hits = {true, true, true, false, true, true};
    List<RowDifference> rows = new ArrayList<>();
    for (int i = 0; i < exact.length; i++) {
      rows.add(new RowDifference(i, true, 1, 1, exact[i], hits[i]));
    }
    var gathering = new Fidelity.Gathering();
    gathering.add(text, rows);
    Fidelity fidelity = gathering.result();
    assertEquals(2, fidelity.findable());
    assertEquals(1, fidelity.found());
    assertEquals(2.5, fidelity.answerDivergence());
    assertEquals(0, fidelity.rows());
  }

  @Test
  void summarisesContinuedTexts() {
    List<RowDifference> rows = new ArrayList<>();
    for (int i = 0; i <= 1000; i++) {
      rows.add(new RowDifference(i, i < 500, 2, 2 + Math.log(1.5), false, false));
    }
    var gathering = new Fidelity.Gathering();
    gathering.add(EvaluationText.continued("text", new int[2515]), rows);
    Fidelity fidelity = gathering.result();
    assertEquals(1001, fidelity.rows());
    assertEquals(500, fidelity.mean());
    assertEquals(500, fidelity.median());
    assertEquals(990, fidelity.percentile99());
    assertEquals(999, fidelity.percentile999());
    assertEquals(500.0 / 1001, fidelity.agreement());
    assertEquals(0.5, fidelity.perplexityChange(), 1e-12);
  }
}
