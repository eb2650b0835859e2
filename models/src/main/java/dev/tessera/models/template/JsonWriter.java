package dev.tessera.models.template;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Python's `json.dumps`, as the filter `tojson` of chat templates calls it: no HTML escapes, and
/// non-ASCII characters stay unless asked otherwise.
final class JsonWriter {
  private final StringBuilder out = new StringBuilder();
  private final Budget budget;
  private final boolean ascii;
  private final boolean sortKeys;
  private final @Nullable String indent;
  private final String itemSeparator;
  private final String keySeparator;

  private JsonWriter(Budget budget, Arguments arguments) {
    this.budget = budget;
    this.ascii = arguments.flag(0, "ensure_ascii", false);
    this.indent =
        switch (arguments.get(1, "indent", None.NONE)) {
          case None _ -> null;
          case String text -> text;
          case Object width -> spaces(Values.expectInteger(width, "indent"));
        };
    this.sortKeys = arguments.flag(3, "sort_keys", false);
    Object separators = Values.plain(arguments.get(2, "separators", None.NONE));
    if (separators instanceof List<?> pair && pair.size() == 2) {
      this.itemSeparator = Values.expectText(pair.get(0), "separators");
      this.keySeparator = Values.expectText(pair.get(1), "separators");
    } else if (separators == None.NONE) {
      this.itemSeparator = indent == null ? ", " : ",";
      this.keySeparator = ": ";
    } else {
      throw new Failure("'separators' must be a pair of strings");
    }
  }

  private static String spaces(long width) {
    if (width > 64) {
      throw new Failure("'indent' must be at most 64, not " + width);
    }
    return " ".repeat((int) Math.max(width, 0));
  }

  static String write(Object value, Arguments arguments, Budget budget) {
    arguments.check("tojson", "ensure_ascii", "indent", "separators", "sort_keys");
    var writer = new JsonWriter(budget, arguments);
    writer.write(value, 0);
    return writer.out.toString();
  }

  private void write(Object value, int depth) {
    if (depth > Budget.MAX_VALUE_DEPTH) {
      throw new Failure("a value nests deeper than " + Budget.MAX_VALUE_DEPTH);
    }
    int before = out.length();
    switch (value) {
      case String text -> string(text);
      case Markup(String text) -> string(text);
      case List<?> list -> list(list, depth);
      case Map<?, ?> map -> map(map, depth);
      case None _, Boolean _, Long _, BigInteger _, Double _ -> out.append(scalar(value));
      default ->
          throw new Failure("a value of type " + Values.type(value) + " cannot be written as JSON");
    }
    budget.step();
    budget.grown(before, out.length());
  }

  private static String scalar(Object value) {
    return switch (value) {
      case None _ -> "null";
      case Boolean b -> b ? "true" : "false";
      case Double d when Double.isNaN(d) -> "NaN";
      case Double d when Double.isInfinite(d) -> d > 0 ? "Infinity" : "-Infinity";
      case Double d -> PythonText.repr(d);
      default -> value.toString();
    };
  }

  private void list(List<?> list, int depth) {
    if (list.isEmpty()) {
      out.append("[]");
      return;
    }
    out.append('[');
    boolean first = true;
    for (Object element : list) {
      separate(first, depth);
      write(element, depth + 1);
      first = false;
    }
    newline(depth);
    out.append(']');
  }

  private void map(Map<?, ?> map, int depth) {
    if (map.isEmpty()) {
      out.append("{}");
      return;
    }
    List<Map.Entry<?, ?>> entries = new ArrayList<>(map.entrySet());
    if (sortKeys) {
      budget.items(entries.size());
      entries.sort((a, b) -> Values.compare(a.getKey(), b.getKey(), "<", budget, 0));
    }
    out.append('{');
    boolean first = true;
    for (var entry : entries) {
      separate(first, depth);
      Object key = entry.getKey();
      if (key instanceof Undefined || !Values.isScalar(key)) {
        throw new Failure("a value of type " + Values.type(key) + " cannot be a key in JSON");
      }
      string(key instanceof String text ? text : scalar(key));
      out.append(keySeparator);
      write(entry.getValue(), depth + 1);
      first = false;
    }
    newline(depth);
    out.append('}');
  }

  private void separate(boolean first, int depth) {
    if (!first) {
      out.append(itemSeparator);
    }
    newline(depth + 1);
  }

  private void newline(int depth) {
    if (indent != null) {
      out.append('\n').repeat(indent, depth);
    }
  }

  private void string(String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"' -> out.append("\\\"");
        case '\\' -> out.append("\\\\");
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        case '\b' -> out.append("\\b");
        case '\f' -> out.append("\\f");
        default -> {
          if (c < ' ' || (ascii && c > '~')) {
            out.append(String.format("\\u%04x", (int) c));
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append('"');
  }
}
