package dev.tessera.models.template;

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// A conversation as the API gives it. Messages, tools and documents are plain values: null,
/// [Boolean], [Long], [Double], [String], [List], [Map] with string keys.
///
/// @param tools null where the caller gave none
/// @param documents null where the caller gave none
/// @param keywords further variables (`chat_template_kwargs`), none of them [#isReserved]
/// @param continuesLast whether the prompt ends inside of the last message
public record ChatRequest(
    List<? extends Map<String, ?>> messages,
    @Nullable List<?> tools,
    @Nullable List<?> documents,
    Map<String, ?> keywords,
    boolean addsGenerationPrompt,
    boolean continuesLast) {
  private static final Set<String> RESERVED =
      Set.of(
          "messages",
          "tools",
          "documents",
          "add_generation_prompt",
          "continue_final_message",
          "chat_template",
          "tokenize",
          "tokenizer",
          "conversation",
          "return_dict",
          "return_tensors",
          "return_assistant_tokens_mask",
          "padding",
          "truncation",
          "max_length",
          "bos_token",
          "eos_token",
          "unk_token",
          "sep_token",
          "pad_token",
          "cls_token",
          "mask_token",
          "additional_special_tokens",
          "raise_exception",
          "strftime_now",
          "range",
          "namespace",
          "dict",
          "cycler",
          "joiner",
          "lipsum",
          "loop",
          "caller",
          "varargs",
          "kwargs",
          "self");

  public ChatRequest {
    for (String name : keywords.keySet()) {
      if (isReserved(name)) {
        throw new IllegalArgumentException(
            "'" + name + "' is not the caller's to set in a chat template");
      }
    }
  }

  /// Whether a variable of this name would shadow what belongs to the server or the template.
  public static boolean isReserved(String name) {
    return RESERVED.contains(name);
  }
}
