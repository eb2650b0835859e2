package dev.tessera.server.http;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.tessera.models.template.ChatRequest;
import dev.tessera.models.template.ChatTemplate;
import dev.tessera.models.template.TemplateException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// A conversation as a request gives it, checked, and ready for a chat template.
///
/// @param messages as they were given
/// @param tools null where none were given
/// @param documents null where none were given
/// @param keywords further variables of the template
/// @param generates whether the prompt ends with the start of an answer
/// @param continues whether it ends inside of the last message
/// @param lastRole role of the last message
/// @param lastText its text, empty where it has none
record Conversation(
    List<Map<String, Object>> messages,
    @Nullable List<Object> tools,
    @Nullable List<Object> documents,
    Map<String, Object> keywords,
    boolean generates,
    boolean continues,
    String lastRole,
    String lastText) {
  private static final int MAX_MESSAGES = 10_000;
  private static final int MAX_ROLE_CHARACTERS = 64;
  private static final int MAX_TOOLS = 1024;

  /// Reads `messages` and everything else that templates use.
  static Conversation read(Fields fields) {
    List<JsonNode> list = fields.list("messages", MAX_MESSAGES);
    if (list == null) {
      throw fields.invalid("messages", "is missing");
    }
    if (list.isEmpty()) {
      throw fields.invalid("messages", "must not be empty");
    }
    List<Map<String, Object>> messages = new ArrayList<>();
    for (int i = 0; i < list.size(); i++) {
      messages.add(message("messages[" + i + "]", list.get(i)));
    }
    String lastRole = String.valueOf(messages.getLast().get("role"));
    String lastText = text(list.getLast().get("content"));

    boolean continues = fields.flag("continue_final_message", false);
    boolean generates = fields.flag("add_generation_prompt", !continues);
    if (continues && generates) {
      throw fields.invalid(
          "continue_final_message", "and add_generation_prompt must not both be true");
    }
    if (continues && (!lastRole.equals("assistant") || lastText.isEmpty())) {
      throw fields.invalid(
          "continue_final_message", "needs a last message of the assistant with some text");
    }
    if (fields.has("chat_template")) {
      throw fields.invalid(
          "chat_template", "is not accepted from requests; the server is started with one");
    }

    Map<String, Object> keywords = keywords(fields);
    String effort = fields.text("reasoning_effort");
    if (effort != null) {
      keywords.put("reasoning_effort", effort);
    }
    List<Object> tools = readTools(fields);
    List<JsonNode> documents = fields.list("documents", MAX_TOOLS);
    fields.ignore("include_reasoning", "parallel_tool_calls");
    return new Conversation(
        messages,
        tools,
        documents == null ? null : values(documents),
        keywords,
        generates,
        continues,
        lastRole,
        lastText);
  }

  /// `chat_template_kwargs`, which may not shadow what is not the caller's to set.
  private static Map<String, Object> keywords(Fields fields) {
    Map<String, Object> keywords = new LinkedHashMap<>();
    Fields named = fields.nested("chat_template_kwargs");
    ObjectNode object = fields.object("chat_template_kwargs");
    if (named == null || object == null) {
      return keywords;
    }
    for (var entry : object.properties()) {
      if (ChatRequest.isReserved(entry.getKey())) {
        throw named.invalid(entry.getKey(), "cannot be set by a request");
      }
      put(keywords, entry.getKey(), JsonValues.plain(entry.getValue()));
    }
    return keywords;
  }

  private static List<Object> values(List<JsonNode> nodes) {
    List<Object> values = new ArrayList<>();
    for (JsonNode node : nodes) {
      Object value = JsonValues.plain(node);
      if (value != null) {
        values.add(value);
      }
    }
    return values;
  }

  private static void put(Map<String, Object> variables, String name, @Nullable Object value) {
    if (value != null) {
      variables.put(name, value);
    }
  }

  /// Tools are shown to the model; what it answers is plain text, so no call can be forced.
  private static @Nullable List<Object> readTools(Fields fields) {
    List<JsonNode> tools = fields.list("tools", MAX_TOOLS);
    JsonNode choice = fields.get("tool_choice");
    if (tools != null) {
      if (tools.isEmpty()) {
        throw fields.invalid("tools", "must not be empty");
      }
      for (JsonNode tool : tools) {
        if (!tool.isObject()) {
          throw fields.wrongType("tools", "a list of objects", tool);
        }
      }
    }
    List<Object> values = tools == null ? null : values(tools);
    if (choice == null || (choice.isTextual() && choice.textValue().equals("none"))) {
      return values;
    }
    if (tools == null) {
      throw fields.invalid("tool_choice", "is only allowed with tools");
    }
    if (!(choice.isTextual() && choice.textValue().equals("auto"))) {
      throw fields.invalid(
          "tool_choice",
          "other than 'auto' or 'none' is not supported: this server cannot force a tool call");
    }
    return values;
  }

  private static Map<String, Object> message(String path, JsonNode node) {
    if (!(node instanceof ObjectNode object)) {
      throw invalid(path, "must be an object");
    }
    JsonNode role = object.get("role");
    boolean named =
        role != null
            && role.isTextual()
            && !role.textValue().isBlank()
            && role.textValue().length() <= MAX_ROLE_CHARACTERS;
    if (!named) {
      throw invalid(path + ".role", "must be a string, for example 'user'");
    }
    Map<String, Object> message = new LinkedHashMap<>();
    object
        .properties()
        .forEach(entry -> message.put(entry.getKey(), JsonValues.plain(entry.getValue())));
    JsonNode content = object.get("content");
    JsonNode calls = object.get("tool_calls");
    boolean hasCalls = calls != null && !calls.isNull();
    if (hasCalls) {
      requireCalls(path + ".tool_calls", calls);
    }
    if (content == null || content.isNull()) {
      if (!role.textValue().equals("assistant")) {
        throw invalid(path + ".content", "must be a string or a list of text parts");
      }
    } else if (content.isArray()) {
      requireText(path + ".content", content);
    } else if (!content.isTextual()) {
      throw invalid(path + ".content", "must be a string or a list of text parts");
    }
    return message;
  }

  private static void requireCalls(String path, JsonNode calls) {
    if (!calls.isArray()) {
      throw invalid(path, "must be a list");
    }
    for (JsonNode call : calls) {
      JsonNode function = call.get("function");
      JsonNode name = function == null ? null : function.get("name");
      if (name == null || !name.isTextual()) {
        throw invalid(path, "must hold objects with a function and its name");
      }
    }
  }

  private static void requireText(String path, JsonNode parts) {
    for (int i = 0; i < parts.size(); i++) {
      JsonNode part = parts.get(i);
      JsonNode type = part.get("type");
      JsonNode value = part.get("text");
      String place = path + "[" + i + "]";
      if (type == null || !type.isTextual()) {
        throw invalid(place + ".type", "must be 'text'");
      }
      if (!type.textValue().equals("text")) {
        throw invalid(
            place,
            "is of type '%s': this model takes text only"
                .formatted(Texts.printable(Texts.shortened(type.textValue(), 40))));
      }
      if (value == null || !value.isTextual()) {
        throw invalid(place + ".text", "must be a string");
      }
    }
  }

  /// The text of a message's content; parts are joined by newlines.
  private static String text(@Nullable JsonNode content) {
    if (content == null || !content.isArray()) {
      return content == null || !content.isTextual() ? "" : content.textValue();
    }
    List<String> texts = new ArrayList<>();
    content.forEach(part -> texts.add(part.path("text").asText()));
    return String.join("\n", texts);
  }

  private static ApiException invalid(String path, String problem) {
    return ApiError.badRequest(path, path + " " + problem).asException();
  }

  /// The prompt that the template makes of the conversation.
  ///
  /// @throws ApiException if the template refuses it, with the template's own message
  String render(ChatTemplate template) {
    try {
      return template.prompt(
          new ChatRequest(knownRoles(template), tools, documents, keywords, generates, continues));
    } catch (TemplateException e) {
      throw ApiError.badRequest("messages", String.valueOf(e.getMessage())).asException();
    }
  }

  /// "developer" is OpenAI's newer name of "system"; templates that do not know it get the old one.
  private List<Map<String, Object>> knownRoles(ChatTemplate template) {
    boolean knowsDeveloper = template.source().contains("developer");
    List<Map<String, Object>> renamed = new ArrayList<>();
    for (Map<String, Object> element : messages) {
      Map<String, Object> message = new LinkedHashMap<>(element);
      if (!knowsDeveloper && "developer".equals(message.get("role"))) {
        message.put("role", "system");
      }
      renamed.add(message);
    }
    return renamed;
  }
}
