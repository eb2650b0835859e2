package dev.tessera.models.template;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Makes prompts of conversations: from the values of a request to the variables of a template, in
/// the form that this template reads.
///
/// Requests and templates disagree about forms. The API gives the arguments of a tool call as JSON
/// text, templates mostly want the object; content may be a text or a list of parts; the
/// assistant's content may be null beside tool calls. What a template takes is found out once, by
/// rendering small conversations ([TemplateForms]). What it cannot take is given in the nearest
/// form that it can; nothing is added that the caller did not give.
final class ChatPrompt {
  /// The end of the message to be continued is found by a mark that no message has there. Its own
  /// end, which no template writes, shows whether white space at the end of a message is kept.
  private static final String MARK = "END_OF_THE_CONTINUED_MESSAGE \t \t";

  private final ChatTemplate template;
  private final TemplateForms forms;

  /// Examines a template.
  ///
  /// @throws TemplateException if even a single short message takes it beyond its limits
  ChatPrompt(ChatTemplate template) throws TemplateException {
    this.template = template;
    this.forms = TemplateForms.of(template);
  }

  /// The prompt that the template makes of a conversation.
  ///
  /// @throws TemplateException if the template refuses it ([TemplateException#raised]), fails on
  ///   it, or does not show the end of the message to be continued
  String render(ChatRequest conversation) throws TemplateException {
    List<Map<String, @Nullable Object>> messages = new ArrayList<>();
    for (Map<String, ?> message : conversation.messages()) {
      messages.add(forms.adapted(message));
    }
    if (conversation.continuesLast()) {
      messages.addLast(marked(messages.removeLast()));
    }
    Map<String, @Nullable Object> variables = new HashMap<>(conversation.keywords());
    variables.put("messages", messages);
    putOrNone(variables, "tools", conversation.tools());
    putOrNone(variables, "documents", conversation.documents());
    variables.put("add_generation_prompt", conversation.addsGenerationPrompt());
    String text = template.render(variables);
    return conversation.continuesLast() ? cut(text) : text;
  }

  /// As in transformers, a template always has these two variables; a few templates are written for
  /// engines that leave them out.
  private void putOrNone(
      Map<String, @Nullable Object> variables, String name, @Nullable Object value) {
    if (value != null) {
      variables.put(name, value);
    } else if (forms.takesNone()) {
      variables.put(name, null);
    }
  }

  private static Map<String, @Nullable Object> marked(Map<String, @Nullable Object> message)
      throws TemplateException {
    Map<String, @Nullable Object> marked = new LinkedHashMap<>(message);
    Object content = message.get("content");
    if (content instanceof String text) {
      marked.put("content", text + MARK);
      return marked;
    }
    if (content instanceof List<?> parts) {
      List<Object> copy = new ArrayList<>(parts);
      for (int i = parts.size() - 1; i >= 0; i--) {
        if (parts.get(i) instanceof Map<?, ?> part && part.get("text") instanceof String text) {
          Map<Object, Object> last = new LinkedHashMap<>(part);
          last.put("text", text + MARK);
          copy.set(i, last);
          marked.put("content", copy);
          return marked;
        }
      }
    }
    throw new TemplateException("the last message has no text that could be continued", 1, false);
  }

  private static String cut(String text) throws TemplateException {
    String mark = MARK.strip();
    int at = text.lastIndexOf(mark);
    if (at < 0) {
      throw new TemplateException(
          "the chat template does not show the message to be continued", 1, false);
    }
    String prompt = text.substring(0, at);
    return text.startsWith(MARK, at)
        ? prompt
        : PythonText.strip(prompt, null, /* left= */ false, /* right= */ true);
  }
}
