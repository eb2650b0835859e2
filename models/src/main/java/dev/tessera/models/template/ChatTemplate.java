package dev.tessera.models.template;

import java.util.Map;

/// A model's chat template: a subset of Jinja with limits on steps, depth and output.
public interface ChatTemplate {

  /// The template's source.
  String source();

  /// Renders a conversation.
  ///
  /// @param variables `messages`, `add_generation_prompt`, and where the caller gave them `tools`,
  ///   `documents`, and keyword arguments; `bos_token` and `eos_token` are the template's own.
  ///   Values are null, [Boolean], [Long], [Double], [String], [java.util.List] and [Map] with
  ///   string keys
  String render(Map<String, Object> variables) throws TemplateException;
}
