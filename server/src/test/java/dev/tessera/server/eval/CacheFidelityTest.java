package dev.tessera.server.eval;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.Backends;
import dev.tessera.kernels.codec.FormFactory.KeyKnowledge;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.models.Model;
import dev.tessera.models.Models;
import dev.tessera.models.calibration.CalibratedKeys;
import dev.tessera.models.calibration.Calibrator;
import dev.tessera.models.calibration.PairDemand;
import dev.tessera.models.testing.ReferenceFiles;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;

/// What every preset must keep of the default model's predictions: prose and code pooled, and 200
/// facts that are asked for again, against the exact cache of the same backend.
final class CacheFidelityTest {

  private static final String I8 = "i8";

  /// @param bits of a cold element as stored, at most
  /// @param divergence mean, at most
  /// @param agreement at least
  /// @param perplexity relative change, at most
  /// @param found share of what exact tiles find, at least
  /// @param answers mean divergence on the answers, at most
  private record Gate(
      String policy,
      double bits,
      double divergence,
      double agreement,
      double perplexity,
      double found,
      double answers) {

    void require(PolicyResult result) {
      Fidelity f = result.fidelity();
      String line = "\n" + EvaluationReport.HEADER + "\n" + EvaluationReport.line(result);
      assertAll(
          () -> assertTrue(result.bits() <= bits, "bits" + line),
          () -> assertTrue(f.mean() <= divergence, "divergence" + line),
          () -> assertTrue(f.agreement() >= agreement, "agreement" + line),
          () -> assertTrue(f.perplexityChange() <= perplexity, "perplexity" + line),
          () -> assertTrue(f.found() >= found * f.findable(), "found" + line),
          () -> assertTrue(f.answerDivergence() <= answers, "answers" + line),
          () -> assertEquals(true, result.invariant(), "steps of another size" + line));
    }
  }

  @Test
  void keepsItsGatesAt2k(TestReporter reporter) throws Exception {
    keepsItsGates(
        reporter,
        2048,
        List.of(
            new Gate(I8, 8.4, 0.0001, 0.993, 0.001, 0.985, 0.001),
            new Gate("near-lossless", 4.5, 0.0012, 0.98, 0.004, 0.94, 0.01),
            new Gate("balanced", 3.6, 0.003, 0.97, 0.007, 0.94, 0.012),
            new Gate("small", 2.7, 0.010, 0.935, 0.015, 0.85, 0.035)));
  }

  @Tag("fidelity")
  @Test
  void keepsItsGatesAt4k(TestReporter reporter) throws Exception {
    keepsItsGates(
        reporter,
        4096,
        List.of(
            new Gate(I8, 8.4, 0.0001, 0.993, 0.001, 0.985, 0.001),
            new Gate("near-lossless", 4.5, 0.0012, 0.98, 0.004, 0.94, 0.01),
            new Gate("balanced", 3.6, 0.003, 0.97, 0.007, 0.94, 0.012),
            new Gate("small", 2.7, 0.013, 0.935, 0.015, 0.85, 0.035)));
  }

  private static void keepsItsGates(TestReporter reporter, int tokens, List<Gate> gates)
      throws Exception {
    var options = new BackendOptions(Runtime.getRuntime().availableProcessors(), "auto");
    try (Backend backend = Backends.choose(Backends.AUTO, options).backend();
        Model model = Models.open(ReferenceFiles.smolLm2())) {
      int context = model.spec().maxPositions();
      KeyKnowledge keys =
          new CalibratedKeys(
              Calibrator.learn(backend, model, context, PairDemand.NONE, share -> {}),
              model.spec());
      var comparison =
          new PolicyComparison(
              backend,
              model,
              new PolicyComparison.Size(tokens, false, 5, false, 0),
              true,
              policy -> keys,
              budget -> KvPolicy.EXACT);
      EvaluationReport report =
          comparison.run(
              gates.stream().map(Gate::policy).toList(),
              task -> share -> {},
              result -> reporter.publishEntry(EvaluationReport.line(result)));
      assertAll(
          gates.stream()
              .map(
                  gate ->
                      () ->
                          gate.require(
                              report.results().stream()
                                  .filter(result -> result.policy().equals(gate.policy()))
                                  .findFirst()
                                  .orElseThrow())));
    }
  }
}
