package dev.tessera.models.tokenizer;

import java.util.List;

/// What a family does to a text before it looks for words.
@FunctionalInterface
interface Normalization {
  Normalization NONE = text -> text;

  String apply(String text);

  static Normalization sequence(List<Normalization> steps) {
    List<Normalization> copy = List.copyOf(steps);
    return text -> {
      String result = text;
      for (Normalization step : copy) {
        result = step.apply(result);
      }
      return result;
    };
  }

  /// Puts `prefix` before a text that is not empty.
  static Normalization prepend(String prefix) {
    return text -> text.isEmpty() ? text : prefix + text;
  }

  static Normalization replace(String pattern, String content) {
    return text -> text.replace(pattern, content);
  }
}
