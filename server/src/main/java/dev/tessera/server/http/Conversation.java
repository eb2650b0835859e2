package dev.tessera.server.http;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.tessera.models.template.ChatTemplate;
import dev.tessera.models.template.TemplateException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// A conversation as a request gives it, checked, and ready for a chat template.
///
/// @param variables what the template sees; nothing that the caller did not give
/// @param continued the text of the last message where it is to be continued, else null
/// @param lastRole role of the last message
/// @param lastText its text, empty where it has none
record Conversation(
    Map<String, Object> variables, @Nullable String continued, String lastRole, String lastText) {
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
    List<Object> messages = new ArrayList<>();
    for (int i = 0; i < list.size(); i++) {
      messages.add(message("messages[" + i + "]", list.get(i)));
    }
    Map<?, ?> last = (Map<?, ?>) messages.getLast();
    String lastRole = String.valueOf(last.get("role"));
    String lastText = last.get("content") instanceof String text ? text : "";

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

    Map<String, Object> variables = new LinkedHashMap<>();
    Fields extra = fields.nested("chat_template_kwargs");
    ObjectNode kwargs = fields.object("chat_template_kwargs");
    if (extra != null && kwargs != null) {
      kwargs
          .properties()
          .forEach(entry -> put(variables, entry.getKey(), JsonValues.plain(entry.getValue())));
    }
    String effort = fields.text("reasoning_effort");
    if (effort != null) {
      variables.put("reasoning_effort", effort);
    }
    readTools(fields, variables);
    List<JsonNode> documents = fields.list("documents", MAX_TOOLS);
    if (documents != null) {
      variables.put("documents", documents.stream().map(JsonValues::plain).toList());
    }
    variables.put("messages", messages);
    variables.put("add_generation_prompt", generates);
    fields.ignore("include_reasoning", "parallel_tool_calls");
    return new Conversation(variables, continues ? lastText : null, lastRole, lastText);
  }

  private static void put(Map<String, Object> variables, String name, @Nullable Object value) {
    if (value != null) {
      variables.put(name, value);
    }
  }

  /// Tools are shown to the model; what it answers is plain text, so no call can be forced.
  private static void readTools(Fields fields, Map<String, Object> variables) {
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
      variables.put("tools", tools.stream().map(JsonValues::plain).toList());
    }
    if (choice == null) {
      return;
    }
    if (choice.isTextual() && choice.textValue().equals("none")) {
      return;
    }
    if (tools == null) {
      throw fields.invalid("tool_choice", "is only allowed with tools");
    }
    if (!(choice.isTextual() && choice.textValue().equals("auto"))) {
      throw fields.invalid(
          "tool_choice",
          "other than 'auto' or 'none' is not supported: this server cannot force a tool call");
    }
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
      message.put("content", text(path + ".content", content));
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

  private static String text(String path, JsonNode parts) {
    StringBuilder text = new StringBuilder();
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
      text.append(i == 0 ? "" : "\n").append(value.textValue());
    }
    return text.toString();
  }

  private static ApiException invalid(String path, String problem) {
    return ApiError.badRequest(path, path + " " + problem).asException();
  }

  /// The prompt that the template makes of the conversation.
  ///
  /// @throws ApiException if the template refuses it, with the template's own message
  String render(ChatTemplate template) {
    Map<String, Object> known = new LinkedHashMap<>(variables);
    known.put("messages", knownRoles(template));
    String text;
    try {
      text = template.render(known);
    } catch (TemplateException e) {
      throw ApiError.badRequest("messages", String.valueOf(e.getMessage())).asException();
    }
    if (continued == null) {
      return text;
    }
    // What the template puts after the last message would end it.
    String ending = continued.strip();
    int at = text.lastIndexOf(ending);
    if (at < 0) {
      throw ApiError.badRequest(
              "continue_final_message", "the chat template does not show the last message as it is")
          .asException();
    }
    return text.substring(0, at + ending.length());
  }

  /// "developer" is OpenAI's newer name of "system"; templates that do not know it get the old one.
  private List<Object> knownRoles(ChatTemplate template) {
    List<?> messages = (List<?>) variables.get("messages");
    boolean knowsDeveloper = template.source().contains("developer");
    List<Object> renamed = new ArrayList<>();
    for (Object element : messages == null ? List.of() : messages) {
      Map<Object, Object> message = new LinkedHashMap<>((Map<?, ?>) element);
      if (!knowsDeveloper && "developer".equals(message.get("role"))) {
        message.put("role", "system");
      }
      renamed.add(message);
    }
    return renamed;
  }
}
