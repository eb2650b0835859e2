package dev.tessera.models.template;

import java.util.Map;
import org.jspecify.annotations.Nullable;

/// A model's chat template: a subset of Jinja with limits on steps, depth and output.
public interface ChatTemplate {

  /// The template's source.
  String source();

  /// Renders a conversation that is in the template's own form already; [#prompt] brings it there.
  ///
  /// @param variables `messages`, `add_generation_prompt`, and where the caller gave them `tools`,
  ///   `documents`, and keyword arguments; `bos_token` and `eos_token` are the template's own.
  ///   Values are null, [Boolean], [Long], [Double], [String], [java.util.List] and [Map] with
  ///   string keys
  String render(Map<String, @Nullable Object> variables) throws TemplateException;

  /// The prompt of a conversation as the API gives it.
  ///
  /// @throws TemplateException if the template refuses it ([TemplateException#raised]), fails on
  ///   it, or does not show the end of the message to be continued
  default String prompt(ChatRequest conversation) throws TemplateException {
    return new ChatPrompt(this).render(conversation);
  }
}
