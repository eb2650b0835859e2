package dev.tessera.models;

import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// The key-value pairs that describe a model, with types and ranges checked where they are read.
///
/// Values are [Long], [Double], [Boolean], [String], [List], [Map] and, from GGUF files, `long[]`
/// and `boolean[]`; null and absent are the same.
final class Settings {
  private final String where;
  private final Function<String, @Nullable Object> values;

  /// @param where what the messages start with, for example a file's name
  Settings(String where, Function<String, @Nullable Object> values) {
    this.where = where;
    this.values = values;
  }

  static Settings of(String where, Map<String, ?> values) {
    return new Settings(where, values::get);
  }

  String where() {
    return where;
  }

  boolean has(String key) {
    return value(key) != null;
  }

  @Nullable Object value(String key) {
    return values.apply(key);
  }

  /// A whole number, which must be there. A list of numbers will do if all are the same: some
  /// formats write one per layer.
  int integer(String key, int least, int most) throws ModelFormatException {
    Object value = value(key);
    if (value == null) {
      throw refuse("%s is missing".formatted(key));
    }
    long number =
        switch (value) {
          case Long integer -> integer;
          case Double real when real == Math.rint(real) && Math.abs(real) < 1e15 ->
              real.longValue();
          case long[] perLayer -> common(key, perLayer);
          default -> throw wrongType(key, "a whole number", value);
        };
    if (number < least || number > most) {
      throw refuse("%s is %d; expected %,d to %,d".formatted(key, number, least, most));
    }
    return (int) number;
  }

  int integer(String key, int least, int most, int fallback) throws ModelFormatException {
    return has(key) ? integer(key, least, most) : fallback;
  }

  private long common(String key, long[] perLayer) throws ModelFormatException {
    for (long number : perLayer) {
      if (number != perLayer[0]) {
        throw refuse(
            "%s differs between layers (%d and %d), which is not supported"
                .formatted(key, perLayer[0], number));
      }
    }
    if (perLayer.length == 0) {
      throw refuse("%s is an empty list".formatted(key));
    }
    return perLayer[0];
  }

  /// A finite number, which must be there.
  double number(String key, double least, double most) throws ModelFormatException {
    Object value = value(key);
    if (value == null) {
      throw refuse("%s is missing".formatted(key));
    }
    if (!(value instanceof Long || value instanceof Double)) {
      throw wrongType(key, "a number", value);
    }
    double number = ((Number) value).doubleValue();
    // Written so that NaN fails too.
    if (!(number >= least && number <= most)) {
      throw refuse("%s is %s; expected %s to %s".formatted(key, number, least, most));
    }
    return number;
  }

  double number(String key, double least, double most, double fallback)
      throws ModelFormatException {
    return has(key) ? number(key, least, most) : fallback;
  }

  boolean flag(String key, boolean fallback) throws ModelFormatException {
    return switch (value(key)) {
      case null -> fallback;
      case Boolean flag -> flag;
      case Object other -> throw wrongType(key, "true or false", other);
    };
  }

  @Nullable String text(String key) throws ModelFormatException {
    return switch (value(key)) {
      case null -> null;
      case String text -> text;
      case Object other -> throw wrongType(key, "a text", other);
    };
  }

  /// A nested object, or null.
  @Nullable Settings section(String key) throws ModelFormatException {
    return switch (value(key)) {
      case null -> null;
      case Map<?, ?> map -> new Settings(where + ": " + key, map::get);
      case Object other -> throw wrongType(key, "an object", other);
    };
  }

  ModelFormatException refuse(String reason) {
    return new ModelFormatException(where + ": " + reason);
  }

  private ModelFormatException wrongType(String key, String expected, Object found) {
    String shown =
        switch (found) {
          case String text -> '"' + text + '"';
          case Number number -> number.toString();
          case Boolean flag -> flag.toString();
          default -> "a " + found.getClass().getSimpleName();
        };
    return refuse("%s is %s; expected %s".formatted(key, shown, expected));
  }
}
