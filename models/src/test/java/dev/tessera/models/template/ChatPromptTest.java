package dev.tessera.models.template;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.models.testing.ReferenceFiles;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Conversations as clients send them, through templates of every taste.
class ChatPromptTest {
  private static final String CHATML =
      """
      {% for m in messages %}{{ '<' + m.role + '>' + m.content + '</>' }}{% endfor %}\
      {% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}\
      """;

  private static Map<String, Object> message(String role, Object content) {
    Map<String, Object> message = new LinkedHashMap<>();
    message.put("role", role);
    message.put("content", content);
    return message;
  }

  private static Map<String, Object> part(String text) {
    return Map.of("type", "text", "text", text);
  }

  private static Map<String, Object> calling(Object content, Object arguments) {
    Map<String, Object> message = message("assistant", content);
    message.put(
        "tool_calls",
        List.of(
            Map.of(
                "id",
                "call00001",
                "type",
                "function",
                "function",
                Map.of("name", "f", "arguments", arguments))));
    return message;
  }

  private static String prompt(String source, List<Map<String, Object>> messages)
      throws TemplateException {
    return ChatTemplates.compile(source, "<s>", "</s>").prompt(request(messages, false, false));
  }

  private static ChatRequest request(
      List<Map<String, Object>> messages, boolean generates, boolean continues) {
    return new ChatRequest(messages, null, null, Map.of(), generates, continues);
  }

  @Test
  void joinsContentPartsWhereTheTemplateWantsText() throws TemplateException {
    var user = message("user", List.of(part("one"), part("two")));
    assertEquals("<user>one\ntwo</>", prompt(CHATML, List.of(user)));
  }

  @Test
  void keepsContentPartsWhereTheTemplateReadsThem() throws TemplateException {
    String source =
        """
        {% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}\
        {% for p in m.content %}{{ '[' + p.text + ']' }}{% endfor %}{% endif %}{% endfor %}\
        """;
    var user = message("user", List.of(part("one"), part("two")));
    assertEquals("[one][two]", prompt(source, List.of(user)));
    assertEquals("text", prompt(source, List.of(message("user", "text"))));
  }

  @Test
  void joinsPartsOfARoleWhoseTemplateReadsOnlyTheFirst() throws TemplateException {
    String source =
        """
        {% for m in messages %}{% if m.content is string %}{{ m.content }}\
        {% elif m.role == 'system' %}{{ m.content[0].text }}\
        {% else %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}{% endfor %}\
        """;
    var system = message("system", List.of(part("one"), part("two")));
    var user = message("user", List.of(part("three"), part("four")));
    assertEquals("one\ntwothreefour", prompt(source, List.of(system, user)));
  }

  @Test
  void makesPartsOfTextWhereTheTemplateWantsOnlyParts() throws TemplateException {
    String source =
        "{% for m in messages %}{% for p in m.content %}{{ '[' + p.text + ']' }}{% endfor %}{%"
            + " endfor %}";
    assertEquals("[text]", prompt(source, List.of(message("user", "text"))));
  }

  @Test
  void givesArgumentsAsAnObjectWhereTheTemplateWritesJson() throws TemplateException {
    String source =
        "{% for m in messages %}{% for c in m.tool_calls %}{{ c.function.arguments | tojson }}{%"
            + " endfor %}{% endfor %}";
    var call = calling("", "{\"a\":1,\"b\":[1.0,\"é\"]}");
    assertEquals("{\"a\": 1, \"b\": [1.0, \"é\"]}", prompt(source, List.of(call)));
  }

  @Test
  void givesArgumentsAsAnObjectWhereTheTemplateIterates() throws TemplateException {
    String source =
        """
        {% for m in messages %}{% for c in m.tool_calls %}{% for k, v in c.function.arguments.items() %}\
        {{ k ~ '=' ~ v ~ ';' }}{% endfor %}{% endfor %}{% endfor %}\
        """;
    assertEquals("b=1;a=2;", prompt(source, List.of(calling("", "{\"b\": 1, \"a\": 2}"))));
    assertEquals("", prompt(source, List.of(calling("", ""))));
  }

  @Test
  void givesArgumentsAsTextWhereTheTemplateConcatenatesThem() throws TemplateException {
    String source =
        "{% for m in messages %}{% for c in m.tool_calls %}{{ '>' + c.function.arguments }}{%"
            + " endfor %}{% endfor %}";
    assertEquals(">{\"a\":1}", prompt(source, List.of(calling("", "{\"a\":1}"))));
    assertEquals(">{\"a\": 1}", prompt(source, List.of(calling("", Map.of("a", 1)))));
    String printed =
        "{% for m in messages %}{% for c in m.tool_calls %}{{ c.function.arguments }}{% endfor %}{%"
            + " endfor %}";
    assertEquals("{\"a\":true}", prompt(printed, List.of(calling("", "{\"a\":true}"))));
  }

  @Test
  void passesArgumentsThatAreNotJsonAsTheyAre() throws TemplateException {
    String source =
        "{% for m in messages %}{% for c in m.tool_calls %}{{ c.function.arguments | tojson }}{%"
            + " endfor %}{% endfor %}";
    assertEquals("\"{broken\"", prompt(source, List.of(calling("", "{broken"))));
  }

  @Test
  void leavesNullContentWhereTheTemplateTestsForIt() throws TemplateException {
    String source =
        "{% for m in messages %}{{ 'null' if m.content is none else m.content }};{% endfor %}";
    assertEquals("a;null;", prompt(source, List.of(message("user", "a"), calling(null, "{}"))));
  }

  @Test
  void emptiesNullContentWhereTheTemplateFailsOnItOrPrintsIt() throws TemplateException {
    var messages = List.of(message("user", "a"), calling(null, "{}"));
    assertEquals("<user>a</><assistant></>", prompt(CHATML, messages));
    assertEquals("a;;", prompt("{% for m in messages %}{{ m.content }};{% endfor %}", messages));
  }

  @Test
  void dropsFieldsThatAreNullAndEmptyCalls() throws TemplateException {
    var message = message("assistant", "a");
    message.put("tool_calls", null);
    message.put("name", null);
    String source = "{% for m in messages %}{{ m.keys() | join(',') }}{% endfor %}";
    assertEquals("role,content", prompt(source, List.of(message)));
    message.put("tool_calls", List.of());
    assertEquals("role,content", prompt(source, List.of(message)));
  }

  @Test
  void injectsNothingThatTheCallerDidNotGive() throws TemplateException {
    String source =
        "{{ enable_thinking is defined }}{{ date_string is defined }}{{ tools is none }}{{"
            + " documents is none }}";
    assertEquals("FalseFalseTrueTrue", prompt(source, List.of(message("user", "a"))));
  }

  @Test
  void leavesToolsOutWhereTheTemplateCannotTakeNone() throws TemplateException {
    String source =
        "{% if tools is defined %}{% for t in tools %}{{ t }}{% endfor %}{% endif %}{{"
            + " messages[0].content }}";
    assertEquals("a", prompt(source, List.of(message("user", "a"))));
  }

  @Test
  void passesKeywordsButNoneThatShadow() throws TemplateException {
    var template = ChatTemplates.compile("{{ enable_thinking }}", null, null);
    var messages = List.of(message("user", "a"));
    assertEquals(
        "False",
        template.prompt(
            new ChatRequest(messages, null, null, Map.of("enable_thinking", false), false, false)));
    for (String name : List.of("messages", "tools", "bos_token", "raise_exception", "tokenize")) {
      Map<String, Object> keywords = Map.of(name, "x");
      assertThrows(
          IllegalArgumentException.class,
          () -> new ChatRequest(messages, null, null, keywords, false, false),
          name);
    }
  }

  @Test
  void continuesTheLastMessageWhereItEnds() throws TemplateException {
    var messages = List.of(message("user", "a"), message("assistant", "b "));
    var exact = ChatTemplates.compile(CHATML, null, null);
    assertEquals("<user>a</><assistant>b ", exact.prompt(request(messages, false, true)));
    var trimming =
        ChatTemplates.compile(
            "{% for m in messages %}{{ '<' ~ m.role ~ '> ' ~ m.content | trim ~ ' </>' }}{% endfor"
                + " %}",
            null, null);
    assertEquals("<user> a </><assistant> b", trimming.prompt(request(messages, false, true)));
  }

  @Test
  void continuesTheLastPart() throws TemplateException {
    var assistant = message("assistant", List.of(part("b"), part("c")));
    var messages = List.of(message("user", "a"), assistant);
    var template = ChatTemplates.compile(CHATML, null, null);
    assertEquals("<user>a</><assistant>b\nc", template.prompt(request(messages, false, true)));
  }

  @Test
  void refusesToContinueWhatTheTemplateDoesNotShow() throws TemplateException {
    var template = ChatTemplates.compile("{{ messages[0].content }}", null, null);
    var messages = List.of(message("user", "a"), message("assistant", "b"));
    assertThrows(TemplateException.class, () -> template.prompt(request(messages, false, true)));
    var hidden = List.of(message("user", "a"), calling(null, "{}"));
    assertThrows(TemplateException.class, () -> template.prompt(request(hidden, false, true)));
  }

  @Test
  void choosesTheTemplateForToolsWhereToolsAreGiven() throws TemplateException {
    var both =
        ChatTemplates.choosing(
            ChatTemplates.compile("usual", null, null), ChatTemplates.compile("tools", null, null));
    var messages = List.of(message("user", "a"));
    assertEquals("usual", both.prompt(request(messages, false, false)));
    assertEquals(
        "tools",
        both.prompt(new ChatRequest(messages, List.of(Map.of()), null, Map.of(), false, false)));
    assertEquals("usual", both.source());
  }

  @Test
  void refusesAtLoadWhatOneMessageTakesBeyondTheLimits() {
    String source =
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
    var e = assertThrows(TemplateException.class, () -> ChatTemplates.compile(source, null, null));
    assertTrue(e.exceedsLimits());
    assertFalse(e.raised());
  }

  @Test
  void loadsATemplateThatRefusesTheProbes() throws TemplateException {
    var template =
        ChatTemplates.compile(
            "{% if messages | length < 9 %}{{ raise_exception('more') }}{% endif %}{{"
                + " messages[8].content }}",
            null, null);
    List<Map<String, Object>> messages = new ArrayList<>();
    for (int i = 0; i < 9; i++) {
      messages.add(message("user", "m" + i));
    }
    assertEquals("m8", template.prompt(request(messages, false, false)));
  }

  /// The families that the API is used with: arguments come as text, content is null.
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "meta-llama-Llama-3.1-8B-Instruct | {\"place\": \"Bern\"}",
        "Qwen-Qwen2.5-7B-Instruct | {\"place\": \"Bern\"}",
        "Qwen-Qwen3-0.6B | {\"place\": \"Bern\"}",
        "Qwen-QwQ-32B | {\"place\": \"Bern\"}",
        "mistralai-Mistral-Nemo-Instruct-2407 | {\"place\": \"Bern\"}",
        "NousResearch-Hermes-3-Llama-3.1-8B-tool_use | {\"place\": \"Bern\"}",
        "deepseek-ai-DeepSeek-V3.1 | {\"place\": \"Bern\"}",
        "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B | {\"place\": \"Bern\"}",
        "openai-gpt-oss-120b | {\"place\": \"Bern\"}",
        "Qwen3-Coder | <parameter=place>",
        "moonshotai-Kimi-K2 | {\"place\": \"Bern\"}"
      })
  void rendersToolCallsOfTheFamilies(String name, String expected) throws Exception {
    String source = Files.readString(ReferenceFiles.llamaCpp("templates/" + name + ".jinja"));
    var template = ChatTemplates.compile(source, "<s>", "</s>");
    var result = message("tool", "rain");
    result.put("tool_call_id", "call00001");
    var messages =
        List.of(message("user", "Weather?"), calling(null, "{\"place\":\"Bern\"}"), result);
    Map<String, Object> tool =
        Map.of(
            "type",
            "function",
            "function",
            Map.of(
                "name",
                "f",
                "description",
                "d",
                "parameters",
                Map.of("type", "object", "properties", Map.of())));
    String prompt =
        template.prompt(new ChatRequest(messages, List.of(tool), null, Map.of(), true, false));
    assertTrue(prompt.contains(expected), prompt);
    assertTrue(prompt.contains("rain"), prompt);
    assertFalse(prompt.contains("None"), prompt);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "google-gemma-2-2b-it | System role not supported",
        "mistralai-Mistral-Nemo-Instruct-2407 |",
      })
  void reportsRefusalsInTheTemplatesWords(String name, String expected) throws Exception {
    String source = Files.readString(ReferenceFiles.llamaCpp("templates/" + name + ".jinja"));
    var template = ChatTemplates.compile(source, "<s>", "</s>");
    var messages =
        List.of(message("system", "a"), message("assistant", "b"), message("assistant", "c"));
    var e =
        assertThrows(
            TemplateException.class, () -> template.prompt(request(messages, true, false)));
    assertTrue(e.raised());
    assertTrue(expected == null || e.getMessage().equals(expected), e.getMessage());
  }
}
