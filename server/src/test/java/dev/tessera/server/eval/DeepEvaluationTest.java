package dev.tessera.server.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.tessera.kernels.Backend;
import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.Backends;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.codec.FormFactory;
import dev.tessera.kernels.codec.FormFactory.KeyKnowledge;
import dev.tessera.kernels.testing.TinyDecoder;
import dev.tessera.kvcache.CoolingRule;
import dev.tessera.kvcache.FormPlan;
import dev.tessera.kvcache.KvPolicyParser;
import dev.tessera.kvcache.PolicySetting;
import java.io.StringReader;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.xml.sax.InputSource;

/// The whole protocol on a small random decoder.
final class DeepEvaluationTest {
  private static final TinyDecoder DECODER =
      TinyDecoder.builder().layers(3).heads(4, 2, 32).build(8);
  private static final DecoderSpec SPEC = DECODER.spec();
  private static final List<EvaluationText> TEXTS = List.of(text("one", 900), text("two", 700));
  private static final List<EvaluationText> PROMPTS = List.of(text("a", 500), text("b", 410));

  private static PolicyResult floor;
  private static PolicyResult planes;

  private static EvaluationText text(String name, int tokens) {
    return EvaluationText.continued(
        name, new Random(name.hashCode()).ints(tokens, 0, SPEC.vocabulary()).toArray());
  }

  @BeforeAll
  static void measure() throws Exception {
    try (Backend backend = Backends.choose(Backends.AUTO, new BackendOptions(2, "auto")).backend();
        var evaluation = new Evaluation(backend, SPEC, DECODER.weights(), TEXTS, share -> {});
        DeepEvaluation deep = evaluation.deeper(TEXTS.size(), PROMPTS)) {
      CooledForms copies =
          CooledForms.copies(
              new CoolingRule(1, List.of(4)), SPEC, backend.exactSlabs(SPEC), evaluation.slabs());
      floor = evaluation.measure("copies", copies, true, deep, share -> {});
      var policy = ((PolicySetting.Fixed) KvPolicyParser.parse("p3")).policy();
      CooledForms forms =
          new FormFactory(
                  FormPlan.of(policy, SPEC.kv()),
                  SPEC,
                  List.of(backend.exactSlabs(SPEC)),
                  KeyKnowledge.NONE)
              .create(1 << 26);
      planes = evaluation.measure("p3", forms, true, deep, share -> {});
    }
  }

  @AfterAll
  static void forget() {
    floor = null;
    planes = null;
  }

  private static Deeper deeper(PolicyResult result) {
    assertTrue(result.deeper() != null, "not measured: " + result);
    return result.deeper();
  }

  @Test
  void theNoiseFloorIsZero() {
    assertEquals(0, floor.fidelity().mean());
    assertEquals(new Interval(0, 0), floor.fidelity().meanInterval());
    assertEquals(1, floor.fidelity().agreement());
    assertEquals(0, floor.fidelity().perplexityChange());
    Deeper deeper = deeper(floor);
    assertEquals(0, deeper.frozen());
    assertEquals(1, deeper.correlation());
    assertEquals(
        new Deeper.Drift(
            PROMPTS.size(),
            DeepEvaluation.WRITTEN,
            DeepEvaluation.WRITTEN,
            1,
            0,
            Collections.nCopies(4, 0.0)),
        deeper.drift());
    assertEquals(List.of(new Deeper.Orders("continued", 0, 0, 0)), deeper.orders());
  }

  @Test
  void stepsAndSessionsDoNotMatter() {
    for (PolicyResult result : List.of(floor, planes)) {
      assertEquals(true, result.invariant(), result.policy());
      assertEquals(true, deeper(result).resumes(), result.policy());
    }
  }

  @Test
  void codesLeaveTheirMark() {
    Fidelity f = planes.fidelity();
    assertTrue(f.mean() > 0 && f.meanInterval().low() > 0, f.toString());
    assertTrue(f.meanInterval().low() <= f.mean() && f.mean() <= f.meanInterval().high());
    Deeper deeper = deeper(planes);
    assertTrue(deeper.frozen() > 0, deeper.toString());
    assertTrue(deeper.correlation() > 0.8 && deeper.correlation() < 1, deeper.toString());
    Deeper.Orders orders = deeper.orders().getFirst();
    assertTrue(orders.byAge() > 0 && orders.byHeat() > 0, deeper.toString());
    assertTrue(orders.byAge() < orders.all() && orders.byHeat() < orders.all(), orders.toString());
    assertNotEquals(orders.byAge(), orders.byHeat(), "the same blocks cooled");
    Deeper.Drift drift = deeper.drift();
    assertTrue(drift.told() > 0, drift.toString());
    assertTrue(drift.divergence().stream().allMatch(kld -> kld > 0), drift.toString());
    assertTrue(drift.same() <= drift.matched() * drift.tokens(), drift.toString());
  }

  @Test
  void theReportIsWellFormed() throws Exception {
    var report = new EvaluationReport("tiny", List.of(floor, planes));
    JsonNode json = new JsonMapper().readTree(report.json());
    assertEquals(0, json.at("/results/0/kld_frozen").doubleValue());
    assertEquals(4, json.at("/results/1/drift/kld").size());
    assertEquals(2, json.at("/results/1/kld_mean_95").size());
    assertTrue(json.at("/results/1/found_share_95").isEmpty(), "nothing was asked");
    Document svg =
        DocumentBuilderFactory.newInstance()
            .newDocumentBuilder()
            .parse(new InputSource(new StringReader(report.svg())));
    assertEquals(2, svg.getElementsByTagName("circle").getLength());
    assertEquals(1 + 2, svg.getElementsByTagName("rect").getLength(), "frozen, on white");
  }
}
