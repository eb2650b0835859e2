package dev.tessera.models.template;

import java.math.BigInteger;
import java.util.List;
import java.util.Map;

/// Prints values as Python's `str` and `repr` do.
final class Printer {
  private final StringBuilder out = new StringBuilder();
  private final Budget budget;

  private Printer(Budget budget) {
    this.budget = budget;
  }

  /// `str(value)`; for a text the text itself.
  static String str(Object value, Budget budget) {
    return switch (value) {
      case String text -> text;
      case Markup(String text) -> text;
      case Undefined _ -> "";
      default -> repr(value, budget);
    };
  }

  static String repr(Object value, Budget budget) {
    var printer = new Printer(budget);
    printer.print(value, 0);
    return printer.out.toString();
  }

  private void print(Object value, int depth) {
    if (depth > Budget.MAX_VALUE_DEPTH) {
      throw new Failure("a value nests deeper than " + Budget.MAX_VALUE_DEPTH);
    }
    int before = out.length();
    switch (value) {
      case None _ -> out.append("None");
      case Undefined _ -> out.append("Undefined");
      case Boolean b -> out.append(b ? "True" : "False");
      case Long n -> out.append((long) n);
      case BigInteger n -> out.append(n);
      case Double d -> out.append(PythonText.repr(d));
      case String text -> out.append(PythonText.repr(text));
      case Markup(String text) -> out.append("Markup(").append(PythonText.repr(text)).append(')');
      case Tuple tuple -> {
        print("(", tuple, tuple.size() == 1 ? ",)" : ")", depth);
      }
      case List<?> list -> print("[", list, "]", depth);
      case View(String type, List<Object> elements) -> print(type + "([", elements, "])", depth);
      case Map<?, ?> map -> map(map, depth);
      case Namespace namespace -> {
        out.append("<Namespace ");
        map(namespace.attributes, depth);
        out.append('>');
      }
      case Macro macro -> out.append("<Macro '").append(macro.name()).append("'>");
      default -> out.append('<').append(Values.type(value)).append('>');
    }
    budget.step();
    budget.grown(before, out.length());
  }

  private void print(String open, List<?> elements, String close, int depth) {
    out.append(open);
    String separator = "";
    for (Object element : elements) {
      out.append(separator);
      print(element, depth + 1);
      separator = ", ";
    }
    out.append(close);
  }

  private void map(Map<?, ?> map, int depth) {
    out.append('{');
    String separator = "";
    for (var entry : map.entrySet()) {
      out.append(separator);
      print(entry.getKey(), depth + 1);
      out.append(": ");
      print(entry.getValue(), depth + 1);
      separator = ", ";
    }
    out.append('}');
  }
}
