package dev.tessera.models.template;

/// `'{} and {name!r:>10}'.format(…)`, with attributes and indices inside of the braces read as
/// everywhere else in a template.
final class BraceFormat {
  private BraceFormat() {}

  static String format(String format, Arguments arguments, Budget budget) {
    var out = new StringBuilder();
    int automatic = 0;
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      if (c != '{' && c != '}') {
        out.append(c);
        continue;
      }
      if (i + 1 < format.length() && format.charAt(i + 1) == c) {
        out.append(c);
        i++;
        continue;
      }
      int close = c == '{' ? format.indexOf('}', i) : -1;
      if (close < 0) {
        throw new Failure("a brace in the format has no counterpart");
      }
      String field = format.substring(i + 1, close);
      if (field.indexOf('{') >= 0) {
        throw new Failure("a field in the specification of another is not supported");
      }
      i = close;
      int before = out.length();
      if (isAutomatic(field)) {
        field = automatic++ + field;
      }
      out.append(field(field, arguments, budget));
      budget.step();
      budget.grown(before, out.length());
    }
    return out.toString();
  }

  private static boolean isAutomatic(String field) {
    return field.isEmpty() || ".[!:".indexOf(field.charAt(0)) >= 0;
  }

  private static String field(String field, Arguments arguments, Budget budget) {
    int colon = field.indexOf(':');
    String name = colon < 0 ? field : field.substring(0, colon);
    String spec = colon < 0 ? "" : field.substring(colon + 1);
    int bang = name.indexOf('!');
    String conversion = bang < 0 ? "" : name.substring(bang + 1);
    Object value = lookup(bang < 0 ? name : name.substring(0, bang), arguments, budget);
    switch (conversion) {
      case "" -> {}
      case "s" -> value = Printer.str(value, budget);
      case "r" -> value = Printer.repr(value, budget);
      default -> throw new Failure("the conversion '!" + conversion + "' is not supported");
    }
    return spec.isEmpty()
        ? Printer.str(value, budget)
        : FormatSpec.parse(spec).format(Values.plain(value), budget);
  }

  private static Object lookup(String path, Arguments arguments, Budget budget) {
    int end = next(path, 0);
    Object value = argument(path.substring(0, end), arguments);
    while (end < path.length()) {
      if (path.charAt(end) == '.') {
        int stop = next(path, end + 1);
        value = Members.attribute(value, path.substring(end + 1, stop));
        end = stop;
      } else {
        int close = path.indexOf(']', end);
        if (close < 0) {
          throw new Failure("a bracket in the format has no counterpart");
        }
        value = Members.item(Values.plain(value), index(path.substring(end + 1, close)), budget);
        end = close + 1;
        if (end < path.length() && path.charAt(end) != '.' && path.charAt(end) != '[') {
          throw new Failure("only '.' or '[' may follow ']' in a format");
        }
      }
      if (value instanceof Undefined undefined) {
        throw undefined.failure();
      }
    }
    return value;
  }

  private static int next(String path, int from) {
    int at = from;
    while (at < path.length() && path.charAt(at) != '.' && path.charAt(at) != '[') {
      at++;
    }
    return at;
  }

  private static Object index(String text) {
    return isNumber(text) ? (Object) Long.parseLong(text) : text;
  }

  private static boolean isNumber(String text) {
    return !text.isEmpty()
        && text.length() < 10
        && text.chars().allMatch(c -> c >= '0' && c <= '9');
  }

  private static Object argument(String name, Arguments arguments) {
    if (isNumber(name)) {
      int index = Integer.parseInt(name);
      if (index < arguments.positional().size()) {
        return arguments.positional().get(index);
      }
    } else {
      Object value = arguments.named().get(name);
      if (value != null) {
        return value;
      }
    }
    throw new Failure("the format names the argument '" + name + "', which was not given");
  }
}
