package dev.tessera.models.template;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Python's arithmetic, on numbers, texts and lists.
final class Operators {
  private Operators() {}

  static Object apply(Object left, String operator, Object right, Budget budget) {
    if (left instanceof Undefined undefined) {
      throw undefined.failure();
    }
    boolean formats = operator.equals("%") && Values.plain(left) instanceof String;
    if (right instanceof Undefined undefined && !formats) {
      throw undefined.failure();
    }
    if (operator.equals("+")) {
      Object sum = concatenated(left, right, budget);
      if (sum != null) {
        return sum;
      }
    }
    Object a = Values.plain(left);
    Object b = Values.plain(right);
    if (operator.equals("%") && a instanceof String format) {
      return PercentFormat.format(format, b, budget);
    }
    if (operator.equals("*")) {
      if (Values.isInteger(b) && (a instanceof String || a instanceof List<?>)) {
        return repeated(a, Values.expectInteger(b, "*"), budget);
      }
      if (Values.isInteger(a) && (b instanceof String || b instanceof List<?>)) {
        return repeated(b, Values.expectInteger(a, "*"), budget);
      }
    }
    if (!Values.isNumber(a) || !Values.isNumber(b)) {
      throw new Failure(
          "'"
              + operator
              + "' is not defined between "
              + Values.type(left)
              + " and "
              + Values.type(right));
    }
    try {
      return a instanceof Double || b instanceof Double
          ? floats(Values.toDouble(a), operator, Values.toDouble(b))
          : integers(
              Values.expectInteger(a, operator), operator, Values.expectInteger(b, operator));
    } catch (ArithmeticException e) {
      throw new Failure("'" + operator + "' leaves the integers of 64 bits, or divides by zero");
    }
  }

  private static @Nullable Object concatenated(Object left, Object right, Budget budget) {
    if (left instanceof String s && right instanceof String t) {
      budget.text((long) s.length() + t.length());
      return s + t;
    }
    if (left instanceof List<?> s
        && right instanceof List<?> t
        && (left instanceof Tuple) == (right instanceof Tuple)) {
      budget.items((long) s.size() + t.size());
      List<Object> both = new ArrayList<>(s.size() + t.size());
      both.addAll(s);
      both.addAll(t);
      return left instanceof Tuple ? new Tuple(both) : both;
    }
    if (left instanceof Markup || right instanceof Markup) {
      String s = escaped(left, budget);
      String t = escaped(right, budget);
      if (s != null && t != null) {
        budget.text((long) s.length() + t.length());
        return new Markup(s + t);
      }
    }
    return null;
  }

  private static @Nullable String escaped(Object value, Budget budget) {
    return switch (value) {
      case Markup(String text) -> text;
      case String text -> {
        budget.text(text.length());
        yield Markup.escape(text);
      }
      default -> null;
    };
  }

  private static Object repeated(Object value, long times, Budget budget) {
    long count = Math.max(times, 0);
    if (value instanceof String text) {
      budget.text(product(count, text.length()));
      return text.repeat(text.isEmpty() ? 0 : (int) count);
    }
    List<?> list = (List<?>) value;
    budget.items(product(count, list.size()));
    List<Object> all = new ArrayList<>();
    for (long i = 0; i < count && !list.isEmpty(); i++) {
      all.addAll(list);
    }
    return value instanceof Tuple ? new Tuple(all) : all;
  }

  /// The product, or a number beyond every limit.
  private static long product(long count, int length) {
    return length == 0 ? 0 : count > Integer.MAX_VALUE ? Long.MAX_VALUE : count * length;
  }

  private static Object integers(long a, String operator, long b) {
    return switch (operator) {
      case "+" -> Math.addExact(a, b);
      case "-" -> Math.subtractExact(a, b);
      case "*" -> Math.multiplyExact(a, b);
      case "/" -> (double) a / nonZero(b);
      case "//" -> Math.floorDiv(a, nonZero(b));
      case "%" -> Math.floorMod(a, nonZero(b));
      default -> power(a, b);
    };
  }

  private static long nonZero(long b) {
    if (b == 0) {
      throw new ArithmeticException();
    }
    return b;
  }

  private static Object power(long base, long exponent) {
    if (exponent < 0) {
      return Math.pow((double) nonZero(base), (double) exponent);
    }
    long power = 1;
    long square = base;
    for (long left = exponent; left > 0; left >>= 1) {
      if ((left & 1) == 1) {
        power = Math.multiplyExact(power, square);
      }
      if (left > 1) {
        square = Math.multiplyExact(square, square);
      }
    }
    return power;
  }

  private static Object floats(double a, String operator, double b) {
    if (b == 0 && (operator.equals("/") || operator.equals("//") || operator.equals("%"))) {
      throw new ArithmeticException();
    }
    return switch (operator) {
      case "+" -> a + b;
      case "-" -> a - b;
      case "*" -> a * b;
      case "/" -> a / b;
      case "//" -> Math.floor(a / b);
      case "%" -> {
        double remainder = a % b;
        yield remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
      }
      default -> Math.pow(a, b);
    };
  }

  static Object signed(boolean negative, Object operand) {
    return switch (operand) {
      case Double d -> negative ? -d : d;
      case Long n -> {
        if (negative && n == Long.MIN_VALUE) {
          throw new Failure("'-' leaves the integers of 64 bits");
        }
        yield negative ? -n : n;
      }
      case Boolean b -> b ? (negative ? -1L : 1L) : 0L;
      case Undefined undefined -> throw undefined.failure();
      default ->
          throw new Failure("a sign is not defined for a value of type " + Values.type(operand));
    };
  }

  /// `value[from:to:step]`, each bound null or `None` where it is left out.
  static Object slice(
      Object value,
      @Nullable Object from,
      @Nullable Object to,
      @Nullable Object step,
      Budget budget) {
    if (value instanceof Undefined undefined) {
      throw undefined.failure();
    }
    if (!(value instanceof String) && !(value instanceof List<?>)) {
      throw new Failure("a value of type " + Values.type(value) + " cannot be sliced");
    }
    if (value instanceof String text) {
      budget.scan(text.length());
    }
    int length = Values.length(value);
    long stride = bound(step, 1);
    if (stride == 0) {
      throw new Failure("the step of a slice is zero");
    }
    boolean forward = stride > 0;
    long first = forward ? 0 : -1;
    long last = forward ? length : length - 1;
    long start = clamp(bound(from, forward ? 0 : Long.MAX_VALUE), length, first, last);
    long end =
        to == null || to == None.NONE
            ? (forward ? length : -1)
            : clamp(bound(to, 0), length, first, last);
    if (value instanceof String text && stride == 1) {
      return slice(text, (int) start, (int) Math.max(start, end), budget);
    }
    List<Object> elements =
        value instanceof String ? Values.list(value, budget) : objects((List<?>) value);
    List<Object> part = new ArrayList<>();
    if (stride == 1) {
      part.addAll(elements.subList((int) start, (int) Math.max(start, end)));
    } else {
      for (long i = start; forward ? i < end : i > end; ) {
        part.add(elements.get((int) i));
        if (Math.abs(stride) > length) {
          break;
        }
        i += stride;
      }
    }
    budget.items(part.size());
    if (value instanceof String) {
      var text = new StringBuilder();
      part.forEach(text::append);
      return text.toString();
    }
    return value instanceof Tuple ? new Tuple(part) : part;
  }

  private static List<Object> objects(List<?> list) {
    return Collections.unmodifiableList(list);
  }

  private static String slice(String text, int from, int to, Budget budget) {
    if (PythonText.hasSurrogates(text)) {
      int start = text.offsetByCodePoints(0, from);
      int end = text.offsetByCodePoints(start, to - from);
      budget.scan(end);
      return text.substring(start, end);
    }
    budget.text(to - from);
    return text.substring(from, to);
  }

  private static long bound(@Nullable Object value, long otherwise) {
    return value == null || value == None.NONE
        ? otherwise
        : Values.expectInteger(value, "slice bound");
  }

  private static long clamp(long index, int length, long first, long last) {
    long from = index < 0 ? index + length : index;
    return Math.clamp(from, first, last);
  }
}
