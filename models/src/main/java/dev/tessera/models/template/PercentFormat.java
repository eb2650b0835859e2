package dev.tessera.models.template;

import java.util.List;
import java.util.Map;

/// `'%s is %d' % values`
final class PercentFormat {
  private final String format;
  private final Object values;
  private final Budget budget;
  private final StringBuilder out = new StringBuilder();
  private int pos;
  private int used;

  private PercentFormat(String format, Object values, Budget budget) {
    this.format = format;
    this.values = values;
    this.budget = budget;
  }

  static String format(String format, Object values, Budget budget) {
    budget.text(format.length());
    var formatter = new PercentFormat(format, values, budget);
    formatter.run();
    boolean mayLeave = !(values instanceof Tuple) && hasItems(values);
    if (formatter.used < (values instanceof Tuple tuple ? tuple.size() : 1) && !mayLeave) {
      throw new Failure("not all arguments were used by the format");
    }
    return formatter.out.toString();
  }

  /// Python asks for unused arguments only where the value has no items.
  private static boolean hasItems(Object values) {
    return values instanceof Map<?, ?> || values instanceof List<?> || values instanceof Undefined;
  }

  private void run() {
    while (pos < format.length()) {
      char c = format.charAt(pos++);
      if (c != '%') {
        out.append(c);
      } else if (pos < format.length() && format.charAt(pos) == '%') {
        out.append('%');
        pos++;
      } else {
        int before = out.length();
        conversion();
        budget.step();
        budget.grown(before, out.length());
      }
    }
  }

  private void conversion() {
    Object value = null;
    if (peek() == '(') {
      int close = format.indexOf(')', pos);
      if (close < 0 || !(values instanceof Map<?, ?> map)) {
        throw new Failure("a named format needs a dict");
      }
      String key = format.substring(pos + 1, close);
      value = map.get(key);
      if (value == null) {
        throw new Failure("the format names '" + key + "', which is not in the dict");
      }
      pos = close + 1;
    }
    var spec = new FormatSpec();
    for (; "-+ 0#".indexOf(peek()) >= 0; pos++) {
      switch (peek()) {
        case '-' -> spec.align = '<';
        case '+' -> spec.sign = '+';
        case ' ' -> spec.sign = spec.sign == '+' ? '+' : ' ';
        case '0' -> spec.zero = true;
        default -> spec.alternate = true;
      }
    }
    spec.width = number();
    if (peek() == '.') {
      pos++;
      spec.precision = Math.max(number(), 0);
    }
    char type = peek();
    pos++;
    if (value == null) {
      value = nextValue();
    }
    out.append(converted(type, value, spec));
  }

  private String converted(char type, Object value, FormatSpec spec) {
    if (spec.align == '<') {
      spec.zero = false;
    }
    return switch (type) {
      case 's', 'r' -> {
        String text = type == 's' ? Printer.str(value, budget) : Printer.repr(value, budget);
        spec.zero = false;
        spec.align = spec.align == 0 ? '>' : spec.align;
        yield spec.text(text, budget);
      }
      case 'd', 'i', 'u', 'x', 'X', 'o', 'c' -> {
        Object integer = value instanceof Double d ? (Object) (long) (double) d : value;
        if (!Values.isInteger(integer)) {
          throw new Failure("%" + type + " needs a number, not " + Values.type(value));
        }
        spec.type = type == 'i' || type == 'u' ? 'd' : type;
        yield spec.number(integer, budget);
      }
      case 'e', 'E', 'f', 'F', 'g', 'G' -> {
        spec.type = type;
        yield spec.number(Values.toDouble(value), budget);
      }
      default -> throw new Failure("the format character '" + type + "' is not supported");
    };
  }

  private Object nextValue() {
    if (values instanceof Tuple tuple) {
      if (used < tuple.size()) {
        return tuple.get(used++);
      }
    } else if (used++ == 0) {
      return values;
    }
    throw new Failure("not enough arguments for the format");
  }

  private char peek() {
    if (pos >= format.length()) {
      throw new Failure("the format ends within a conversion");
    }
    return format.charAt(pos);
  }

  private int number() {
    int number = -1;
    for (; peek() >= '0' && peek() <= '9'; pos++) {
      number = Math.max(number, 0) * 10 + peek() - '0';
      if (number > FormatSpec.MAX_WIDTH) {
        throw new Failure("a width in a format is more than " + FormatSpec.MAX_WIDTH);
      }
    }
    return number;
  }
}
