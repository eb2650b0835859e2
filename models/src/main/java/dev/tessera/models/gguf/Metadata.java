package dev.tessera.models.gguf;

import dev.tessera.models.ModelFormatException;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The key-value pairs at the head of a GGUF file.
///
/// Values are [Long] (all integers), [Double] (all floats), [Boolean], [String], `long[]`,
/// `double[]`, `boolean[]`, `String[]`, or `Object[]` for nested arrays.
public final class Metadata {
  private final Map<String, Object> values;

  public Metadata(Map<String, Object> values) {
    this.values = Collections.unmodifiableMap(new LinkedHashMap<>(values));
  }

  public Map<String, Object> values() {
    return values;
  }

  public boolean has(String key) {
    return values.containsKey(key);
  }

  /// The value, or null where the key is absent.
  ///
  /// @throws ModelFormatException if the value has another type
  public <T> @Nullable T get(String key, Class<T> type) throws ModelFormatException {
    Object value = values.get(key);
    if (value == null) {
      return null;
    }
    if (!type.isInstance(value)) {
      throw new ModelFormatException(
          "metadata key %s: expected %s, found %s"
              .formatted(key, type.getSimpleName(), value.getClass().getSimpleName()));
    }
    return type.cast(value);
  }

  /// The value, which must exist.
  public <T> T required(String key, Class<T> type) throws ModelFormatException {
    T value = get(key, type);
    if (value == null) {
      throw new ModelFormatException("metadata key " + key + " is missing");
    }
    return value;
  }
}
