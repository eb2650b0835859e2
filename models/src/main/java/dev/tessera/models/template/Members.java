package dev.tessera.models.template;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// `value.name` and `value[index]`: on dicts, lists, texts, namespaces and loops, and nowhere else.
/// What is not there is [Undefined]; only on an undefined value is asking an error.
final class Members {
  private Members() {}

  /// A method comes before a key of the same name: `tool.items` is the method.
  static Object attribute(Object value, String name) {
    Object member = member(Values.plain(value), name);
    if (member != null) {
      return member;
    }
    if (value instanceof Map<?, ?> map) {
      Object item = map.get(name);
      if (item != null) {
        return item;
      }
    }
    return missing(value, name);
  }

  /// A key comes before a method of the same name, but the method is found where no key is:
  /// `schema['items'] is defined` always holds, in Jinja too.
  static Object item(Object value, Object index, Budget budget) {
    if (value instanceof Map<?, ?> map) {
      if (!Values.isScalar(index)) {
        return missing(value, Printer.repr(index, budget));
      }
      Object item = map.get(index);
      if (item != null) {
        return item;
      }
    } else if (Values.isInteger(index) && (value instanceof List<?> || value instanceof String)) {
      int length = Values.length(value);
      long at = Values.expectInteger(index, "index");
      at = at < 0 ? at + length : at;
      if (at < 0 || at >= length) {
        return missing(value, Long.toString(at));
      }
      if (value instanceof String text) {
        budget.scan(text.length());
        return character(text, at);
      }
      return ((List<?>) value).get((int) at);
    }
    if (index instanceof String name) {
      Object member = member(value, name);
      if (member != null) {
        return member;
      }
    }
    return missing(value, Printer.repr(index, budget));
  }

  private static String character(String text, long at) {
    int start = text.offsetByCodePoints(0, (int) at);
    return text.substring(start, text.offsetByCodePoints(start, 1));
  }

  private static @Nullable Object member(Object value, String name) {
    return switch (value) {
      case Namespace namespace -> namespace.attributes.get(name);
      case Loop loop -> loop.attribute(name);
      default -> Methods.of(value, name);
    };
  }

  private static Undefined missing(Object value, String name) {
    if (value instanceof Undefined undefined) {
      throw undefined.failure();
    }
    return new Undefined("'" + name + "' of a value of type " + Values.type(value));
  }
}
