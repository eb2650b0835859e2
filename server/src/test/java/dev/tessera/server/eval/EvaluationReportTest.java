package dev.tessera.server.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.StringReader;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.xml.sax.InputSource;

final class EvaluationReportTest {

  private static final Fidelity FIDELITY =
      new Fidelity(
          700,
          0.0025,
          new Interval(0.0021, 0.0031),
          0.001,
          0.02,
          0.1,
          0.981,
          0.0034,
          171,
          175,
          new Interval(0.954, 0.994),
          0.0065);

  private static final Deeper DEEPER =
      new Deeper(
          0.0017,
          0.998,
          18,
          List.of(new Deeper.Task("passkey", 9, 10, 0.02), new Deeper.Task("list", 38, 39, 0.01)),
          new Deeper.Drift(8, 256, 41, 0.25, 0.0019, List.of(0.001, 0.002, 0.0015, 0.001)),
          List.of(new Deeper.Orders("asked", 0.003, 0.0018, 0.0012)),
          true);

  private static final EvaluationReport REPORT =
      new EvaluationReport(
          "a model <with> marks & signs",
          List.of(
              new PolicyResult("balanced", 3.75, 3.25, 80_000, FIDELITY, true, DEEPER, 12),
              new PolicyResult("k=i8", 8.5, 8.25, 30_000, FIDELITY, null, null, 11)));

  @Test
  void writesALineForAPerson() {
    String line = EvaluationReport.line(REPORT.results().getFirst());
    for (String part :
        List.of(
            "balanced",
            "3.75",
            "3.25",
            "3.50",
            "0.00250",
            "0.00210-0.00310",
            "98.10%",
            "+0.34%",
            "171/175",
            "95.4-99.4")) {
      assertTrue(line.contains(part), line);
    }
    assertEquals(EvaluationReport.HEADER.length(), line.length(), "\n" + line);
  }

  @Test
  void writesTheRestOfTheProtocolBelow() {
    String line = EvaluationReport.deeperLine(REPORT.results().getFirst(), DEEPER);
    for (String part :
        List.of(
            "0.00170",
            "0.99800",
            "18",
            "passkey 9/10",
            "list 38/39",
            " 41 ",
            "25.0%",
            "0.00190",
            "yes",
            "asked 0.00300  0.00180  0.00120")) {
      assertTrue(line.contains(part), line);
    }
    assertEquals(
        EvaluationReport.DEEPER_HEADER.indexOf("all cold"), line.indexOf("asked"), "\n" + line);
  }

  @Test
  void writesFiguresForAProgram() throws Exception {
    JsonNode json = new JsonMapper().readTree(REPORT.json());
    assertEquals("balanced", json.at("/results/0/policy").asText());
    assertEquals(0.0025, json.at("/results/0/kld_mean").asDouble());
    assertTrue(json.at("/results/0/invariant").asBoolean());
    assertTrue(json.at("/results/1/invariant").isMissingNode());
    assertEquals(0.0017, json.at("/results/0/kld_frozen").asDouble());
    assertEquals(0.0031, json.at("/results/0/kld_mean_95/1").asDouble());
    assertEquals(0.954, json.at("/results/0/found_share_95/0").asDouble());
    assertEquals(8, json.at("/results/0/drift/prompts").asInt());
    assertEquals(0.0019, json.at("/results/0/drift/kld_told").asDouble());
    assertEquals(38, json.at("/results/0/list/found").asInt());
    assertEquals(0.0012, json.at("/results/0/kld_cold/asked/less_heard_half").asDouble());
    assertEquals(0.002, json.at("/results/0/drift/kld/1").asDouble());
    assertTrue(json.at("/results/1/kld_frozen").isMissingNode());
  }

  @Test
  void drawsAPointForEveryPolicy() throws Exception {
    Document svg =
        DocumentBuilderFactory.newInstance()
            .newDocumentBuilder()
            .parse(new InputSource(new StringReader(REPORT.svg())));
    assertEquals(2, svg.getElementsByTagName("circle").getLength());
    assertEquals(REPORT.title(), svg.getElementsByTagName("title").item(0).getTextContent());
  }
}
