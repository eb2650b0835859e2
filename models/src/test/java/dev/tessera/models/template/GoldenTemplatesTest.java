package dev.tessera.models.template;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.tessera.models.testing.ReferenceFiles;
import java.io.InputStream;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Every conversation through every template, as Python's jinja2 rendered it
/// (`src/test/python/render_templates.py`). The templates come with the reference files, except for
/// two of our own in the manner of SmolLM2 and Gemma 3.
class GoldenTemplatesTest {
  private static Map<String, Map<String, Object>> conversations;
  private static Map<String, Map<String, String>> renderings;
  private static ZonedDateTime now;

  @BeforeAll
  @SuppressWarnings("unchecked")
  static void readGoldens() throws Exception {
    try (InputStream in = resource("goldens.json").openStream()) {
      Map<String, Object> goldens = new ObjectMapper().readValue(in, Map.class);
      conversations = (Map<String, Map<String, Object>>) goldens.get("conversations");
      renderings = (Map<String, Map<String, String>>) goldens.get("renderings");
      now = LocalDateTime.parse((String) goldens.get("now")).atZone(ZoneOffset.UTC);
    }
  }

  static Stream<String> templates() throws Exception {
    readGoldens();
    return renderings.keySet().stream();
  }

  @ParameterizedTest
  @MethodSource("templates")
  void rendersEveryConversationAsJinjaDoes(String name) throws Exception {
    ChatTemplate template = ChatTemplates.compile(source(name), "<BOS>", "<EOS>", () -> now);
    var wrong = new StringBuilder();
    renderings
        .get(name)
        .forEach(
            (conversation, expected) -> {
              String rendered = render(template, conversations.get(conversation));
              if (!matches(expected, rendered)) {
                wrong.append(
                    conversation + ": expected " + expected + "\nrendered " + rendered + "\n\n");
              }
            });
    assertEquals("", wrong.toString());
  }

  private static String render(ChatTemplate template, Map<String, Object> given) {
    Map<String, Object> variables = new HashMap<>();
    variables.put("tools", null);
    variables.put("documents", null);
    variables.put("add_generation_prompt", false);
    variables.putAll(given);
    try {
      return "text " + template.render(variables);
    } catch (TemplateException e) {
      assertTrue(e.line() > 0);
      return (e.raised() ? "raised " : "failed ") + e.getMessage();
    }
  }

  /// Other failures than those that the template raises have our own words.
  private static boolean matches(String expected, String rendered) {
    if (expected.startsWith("failed ")) {
      return rendered.startsWith("failed ");
    }
    return expected.startsWith("sha256 ")
        ? rendered.startsWith("text ") && expected.equals("sha256 " + sha256(rendered.substring(5)))
        : expected.equals(rendered);
  }

  private static String sha256(String text) {
    try {
      return HexFormat.of()
          .formatHex(
              MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  private static String source(String name) throws Exception {
    URL own = GoldenTemplatesTest.class.getResource("own/" + name);
    if (own != null) {
      try (InputStream in = own.openStream()) {
        return new String(in.readAllBytes(), StandardCharsets.UTF_8);
      }
    }
    Path file = ReferenceFiles.llamaCpp("templates/" + name);
    return Files.readString(file);
  }

  private static URL resource(String name) {
    return Objects.requireNonNull(GoldenTemplatesTest.class.getResource(name), name);
  }
}
