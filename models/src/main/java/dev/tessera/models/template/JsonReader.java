package dev.tessera.models.template;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import org.jspecify.annotations.Nullable;

/// Python's `json.loads` for the texts inside a conversation.
final class JsonReader {
  private static final JsonMapper MAPPER =
      JsonMapper.builder()
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .enable(DeserializationFeature.USE_LONG_FOR_INTS)
          .build();

  private JsonReader() {}

  /// The value that a text holds as JSON, as the interpreter's.
  static Object read(String text, Budget budget) {
    budget.text(text.length());
    try {
      return Values.imported(MAPPER.readValue(text, Object.class), 0);
    } catch (JsonProcessingException e) {
      throw new Failure("the text is not JSON: " + e.getOriginalMessage());
    }
  }

  /// The object that a text holds as JSON; null where it holds anything else.
  static @Nullable Object readOrNull(String text) {
    try {
      return MAPPER.readValue(text, Object.class);
    } catch (JsonProcessingException e) {
      return null;
    }
  }
}
