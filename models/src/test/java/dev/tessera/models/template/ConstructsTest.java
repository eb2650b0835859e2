package dev.tessera.models.template;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Each construct of the language in a line, and the white space around tags, as Python's jinja2
/// renders them (`src/test/python/render_templates.py`).
class ConstructsTest {
  private static final ZonedDateTime NOW =
      ZonedDateTime.of(2025, 3, 9, 14, 5, 7, 0, ZoneOffset.UTC);

  record Construct(String source, String rendered, Map<String, Object> variables) {
    @Override
    public String toString() {
      return source;
    }
  }

  @SuppressWarnings("unchecked")
  static Stream<Construct> constructs() throws Exception {
    Map<String, Object> goldens =
        new ObjectMapper().readValue(resource("constructs.json"), Map.class);
    var variables = (Map<String, Object>) goldens.get("variables");
    return ((List<Map<String, String>>) goldens.get("renderings"))
        .stream().map(each -> new Construct(each.get("source"), each.get("rendered"), variables));
  }

  @ParameterizedTest
  @MethodSource("constructs")
  void rendersAsJinjaDoes(Construct construct) {
    String rendered;
    try {
      rendered =
          "text "
              + ChatTemplates.compile(construct.source, null, null, () -> NOW)
                  .render(construct.variables);
    } catch (TemplateException e) {
      rendered = e.raised() ? "raised " + e.getMessage() : "failed " + e.getMessage();
    }
    if (construct.rendered.startsWith("failed ")) {
      assertTrue(rendered.startsWith("failed "), rendered);
    } else {
      assertEquals(construct.rendered, rendered);
    }
  }

  static Stream<String> refused() throws Exception {
    return new String(resource("refused.txt"), StandardCharsets.UTF_8).lines();
  }

  @ParameterizedTest
  @MethodSource("refused")
  void refusesWhatItCannotRunWithTheLine(String line) {
    var e =
        assertThrows(
            TemplateException.class, () -> ChatTemplates.compile("\n\n" + line, null, null));
    assertTrue(e.getMessage().startsWith("chat template, line 3: "), e.getMessage());
    assertEquals(3, e.line());
  }

  private static byte[] resource(String name) throws Exception {
    try (InputStream in = ConstructsTest.class.getResourceAsStream(name)) {
      return Objects.requireNonNull(in, name).readAllBytes();
    }
  }
}
