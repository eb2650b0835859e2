package dev.tessera.server.eval;

import dev.tessera.models.calibration.RetrievalText;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// How far predictions over compressed tiles are from those over exact ones.
///
/// @param rows tokens of continued texts that were compared
/// @param mean of the Kullback-Leibler divergence over them, in nats; the others are its quantiles
/// @param meanInterval where the mean lies
/// @param agreement share of them with the same best token
/// @param perplexityChange relative, 0.01 for one percent more
/// @param found items that both find
/// @param findable items that exact tiles find
/// @param foundInterval where the share of these that both find lies
/// @param answerDivergence mean Kullback-Leibler divergence over the answers' tokens
public record Fidelity(
    int rows,
    double mean,
    Interval meanInterval,
    double median,
    double percentile99,
    double percentile999,
    double agreement,
    double perplexityChange,
    int found,
    int findable,
    Interval foundInterval,
    double answerDivergence) {

  /// Rows whose divergences hang together: as many tokens of a continued text as a tile has.
  private static final int RUN = 32;

  /// Gathers the differences of texts.
  static final class Gathering {

    private final List<RowDifference> continued = new ArrayList<>();
    private final List<RowDifference> answered = new ArrayList<>();
    private final List<Boolean> found = new ArrayList<>(); // of the items that exact tiles find

    /// @param rows in the order of the text's rows
    void add(EvaluationText text, List<RowDifference> rows) {
      (text.isRetrieval() ? answered : continued).addAll(rows);
      int at = 0;
      for (RetrievalText.Answer answer : text.answers()) {
        List<RowDifference> tokens = rows.subList(at, at + answer.end() - answer.start());
        at += tokens.size();
        if (tokens.stream().allMatch(RowDifference::exactHit)) {
          found.add(tokens.stream().allMatch(RowDifference::hit));
        }
      }
    }

    Fidelity result() {
      double[] divergences = continued.stream().mapToDouble(RowDifference::divergence).toArray();
      double[] sorted = divergences.clone();
      Arrays.sort(sorted);
      double[] hits = found.stream().mapToDouble(hit -> hit ? 1 : 0).toArray();
      double loss = mean(continued.stream().mapToDouble(row -> row.loss() - row.exactLoss()));
      return new Fidelity(
          sorted.length,
          mean(Arrays.stream(divergences)),
          Bootstrap.of(divergences, RUN),
          quantile(sorted, 0.5),
          quantile(sorted, 0.99),
          quantile(sorted, 0.999),
          mean(continued.stream().mapToDouble(row -> row.agrees() ? 1 : 0)),
          Math.expm1(loss),
          (int) Arrays.stream(hits).sum(),
          hits.length,
          Bootstrap.of(hits, 1),
          mean(answered.stream().mapToDouble(RowDifference::divergence)));
    }

    private static double mean(java.util.stream.DoubleStream values) {
      return values.average().orElse(Double.NaN);
    }

    private static double quantile(double[] sorted, double share) {
      return sorted.length == 0
          ? Double.NaN
          : sorted[(int) Math.min(sorted.length - 1L, Math.round(share * (sorted.length - 1)))];
    }
  }
}
