package dev.tessera.models.template;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// The forms in which a template takes the parts of a conversation, found out by rendering small
/// ones.
///
/// @param partsFor roles whose content may be a list of parts; elsewhere parts are joined
/// @param onlyPartsFor roles whose content must be a list of parts
/// @param argumentsAsText whether the arguments of a tool call must be JSON text; else an object
/// @param nullContent whether null content can stay null
/// @param nullContentWithCalls the same beside tool calls
/// @param takesNone whether `tools` and `documents` may be `None`
record TemplateForms(
    Set<String> partsFor,
    Set<String> onlyPartsFor,
    boolean argumentsAsText,
    boolean nullContent,
    boolean nullContentWithCalls,
    boolean takesNone) {
  private static final String FIRST = "NEEDLE-ONE";
  private static final String SECOND = "NEEDLE-TWO";
  private static final String KEY = "needle_key";

  static TemplateForms of(ChatTemplate template) throws TemplateException {
    return new Probe(template).forms();
  }

  /// A message in the forms that the template takes. Fields that are null or empty lists of calls
  /// go: clients send them, and templates ask only whether they are there.
  Map<String, @Nullable Object> adapted(Map<String, ?> message) {
    Map<String, @Nullable Object> adapted = new LinkedHashMap<>();
    String role = message.get("role") instanceof String text ? text : "";
    message.forEach(
        (name, value) -> {
          boolean absent = value == null || (name.equals("tool_calls") && value.equals(List.of()));
          if (!absent && !name.equals("content")) {
            adapted.put(name, name.equals("tool_calls") ? calls(value) : value);
          }
        });
    boolean withCalls = adapted.containsKey("tool_calls");
    Object content = content(message.get("content"), role, withCalls);
    adapted.put("content", content);
    return adapted;
  }

  private @Nullable Object content(@Nullable Object content, String role, boolean withCalls) {
    return switch (content) {
      case null -> (withCalls ? nullContentWithCalls : nullContent) ? null : "";
      case List<?> parts when !partsFor.contains(role) -> joined(parts);
      case String text when onlyPartsFor.contains(role) -> List.of(part(text));
      default -> content;
    };
  }

  /// The texts of the parts, a line each; the list itself where a part is not text.
  private static Object joined(List<?> parts) {
    List<String> texts = new ArrayList<>();
    for (Object part : parts) {
      if (!(part instanceof Map<?, ?> map) || !(map.get("text") instanceof String text)) {
        return parts;
      }
      texts.add(text);
    }
    return String.join("\n", texts);
  }

  private static Map<String, Object> part(String text) {
    Map<String, Object> part = new LinkedHashMap<>();
    part.put("type", "text");
    part.put("text", text);
    return part;
  }

  private Object calls(Object calls) {
    if (!(calls instanceof List<?> list)) {
      return calls;
    }
    List<Object> adapted = new ArrayList<>();
    for (Object call : list) {
      Object function = call instanceof Map<?, ?> map ? map.get("function") : null;
      if (call instanceof Map<?, ?> map && function instanceof Map<?, ?> of) {
        Map<Object, Object> copy = new LinkedHashMap<>(map);
        Map<Object, Object> inner = new LinkedHashMap<>(of);
        inner.computeIfPresent("arguments", (_, arguments) -> arguments(arguments));
        copy.put("function", inner);
        adapted.add(copy);
      } else {
        adapted.add(call);
      }
    }
    return adapted;
  }

  private Object arguments(Object arguments) {
    if (argumentsAsText) {
      return arguments instanceof Map<?, ?>
          ? JsonWriter.write(Values.imported(arguments, 0), Arguments.NONE, new Budget())
          : arguments;
    }
    if (arguments instanceof String text) {
      if (text.isBlank()) {
        return Map.of();
      }
      return JsonReader.readOrNull(text) instanceof Map<?, ?> object ? object : text;
    }
    return arguments;
  }

  /// Renders small conversations and looks at what comes out.
  private static final class Probe {
    private final ChatTemplate template;
    private boolean none = true;

    Probe(ChatTemplate template) {
      this.template = template;
    }

    TemplateForms forms() throws TemplateException {
      List<Object> plain = List.of(message("user", FIRST));
      if (!shows(plain, FIRST)) {
        none = false;
        none = !shows(plain, FIRST);
      }
      checkLimits(plain);
      Set<String> parts = new HashSet<>();
      Set<String> onlyParts = new HashSet<>();
      for (String role : List.of("system", "developer", "user", "assistant", "tool")) {
        boolean takesParts = showsInOrder(with(role, List.of(part(FIRST), part(SECOND))));
        if (takesParts) {
          parts.add(role);
          if (!shows(with(role, FIRST), FIRST)) {
            onlyParts.add(role);
          }
        }
      }
      return new TemplateForms(
          Set.copyOf(parts),
          Set.copyOf(onlyParts),
          needsArgumentsAsText(),
          takesNull(false),
          takesNull(true),
          none);
    }

    /// A template that a single message takes beyond its limits is for no conversation.
    private void checkLimits(List<Object> messages) throws TemplateException {
      try {
        template.render(variables(messages));
      } catch (TemplateException e) {
        if (e.exceedsLimits()) {
          throw e;
        }
      }
    }

    private boolean needsArgumentsAsText() {
      String object = render(calling(Map.of(KEY, FIRST)));
      boolean printed = object != null && object.contains("{'" + KEY + "'");
      if (object != null && object.contains(FIRST) && !printed) {
        return false;
      }
      String text = render(calling("{\"" + KEY + "\": \"" + FIRST + "\"}"));
      return text != null && text.contains(FIRST);
    }

    private List<Object> calling(Object arguments) {
      return List.of(message("user", "A"), withCall("", arguments), message("tool", "B"));
    }

    private static Map<String, @Nullable Object> withCall(
        @Nullable Object content, Object arguments) {
      Map<String, @Nullable Object> message = message("assistant", content);
      message.put(
          "tool_calls",
          List.of(
              Map.of(
                  "id", "call00000",
                  "type", "function",
                  "function", Map.of("name", "probe", "arguments", arguments))));
      return message;
    }

    /// Null may stay where the template neither fails on it, as it does not on an empty text, nor
    /// prints it.
    private boolean takesNull(boolean besideCalls) {
      String withNull = render(answering(null, besideCalls));
      String withEmpty = render(answering("", besideCalls));
      return withNull == null
          ? withEmpty == null
          : !withNull.contains("None") || (withEmpty != null && withEmpty.contains("None"));
    }

    private List<Object> answering(@Nullable Object content, boolean besideCalls) {
      Object arguments = needsArgumentsAsText() ? "{}" : Map.of();
      Map<String, @Nullable Object> answer =
          besideCalls ? withCall(content, arguments) : message("assistant", content);
      return besideCalls
          ? List.of(message("user", "A"), answer, message("tool", "B"))
          : List.of(message("user", "A"), answer, message("user", "B"));
    }

    private List<Object> with(String role, Object content) {
      Map<String, @Nullable Object> message = message(role, content);
      return switch (role) {
        case "user" -> List.of(message);
        case "assistant" -> List.of(message("user", "A"), message, message("user", "B"));
        case "tool" ->
            List.of(
                message("user", "A"),
                withCall("", needsArgumentsAsText() ? "{}" : Map.of()),
                message);
        default -> List.of(message, message("user", "A"));
      };
    }

    private static Map<String, @Nullable Object> message(String role, @Nullable Object content) {
      Map<String, @Nullable Object> message = new LinkedHashMap<>();
      message.put("role", role);
      message.put("content", content);
      if (role.equals("tool")) {
        message.put("tool_call_id", "call00000");
        message.put("name", "probe");
      }
      return message;
    }

    private boolean shows(List<Object> messages, String needle) {
      String text = render(messages);
      return text != null && text.contains(needle);
    }

    /// Whether both parts are shown, as text and not as the print of a list.
    private boolean showsInOrder(List<Object> messages) {
      String text = render(messages);
      int first = text == null ? -1 : text.indexOf(FIRST);
      int second = text == null || first < 0 ? -1 : text.indexOf(SECOND, first);
      return text != null && second >= 0 && !text.substring(first, second).contains("text");
    }

    private @Nullable String render(List<Object> messages) {
      try {
        return template.render(variables(messages));
      } catch (TemplateException e) {
        return null;
      }
    }

    private Map<String, @Nullable Object> variables(List<Object> messages) {
      Map<String, @Nullable Object> variables = new HashMap<>();
      variables.put("messages", messages);
      variables.put("add_generation_prompt", true);
      if (none) {
        variables.put("tools", null);
        variables.put("documents", null);
      }
      return variables;
    }
  }
}
