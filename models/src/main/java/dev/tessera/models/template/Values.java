package dev.tessera.models.template;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// What Python says about values: truth, equality, order, iteration, type names.
final class Values {
  private static final int MAX_KEY_TUPLE = 16;

  private Values() {}

  /// Takes a caller's value into the interpreter: null becomes [None], numbers one of three types,
  /// and lists and maps are copied, so that nobody changes them under a rendering.
  static Object imported(@Nullable Object value, int depth) {
    if (depth > Budget.MAX_VALUE_DEPTH) {
      throw new Failure("the conversation nests deeper than " + Budget.MAX_VALUE_DEPTH);
    }
    return switch (value) {
      case null -> None.NONE;
      case None none -> none;
      case String s -> s;
      case Boolean b -> b;
      case Long n -> n;
      case Double d -> d;
      case Integer n -> (long) n;
      case Short n -> (long) n;
      case Byte n -> (long) n;
      case Float f -> (double) f;
      case BigInteger n -> n.bitLength() < 64 ? (Object) n.longValue() : n;
      case BigDecimal d -> d.doubleValue();
      case List<?> list -> {
        List<Object> copy = new ArrayList<>(list.size());
        for (Object element : list) {
          copy.add(imported(element, depth + 1));
        }
        yield Collections.unmodifiableList(copy);
      }
      case Map<?, ?> map -> {
        Map<Object, Object> copy = LinkedHashMap.newLinkedHashMap(map.size());
        map.forEach((key, element) -> copy.put(String.valueOf(key), imported(element, depth + 1)));
        yield Collections.unmodifiableMap(copy);
      }
      default -> throw new Failure("a template cannot use a " + value.getClass().getSimpleName());
    };
  }

  /// A text without its mark.
  static Object plain(Object value) {
    return value instanceof Markup(String text) ? text : value;
  }

  static boolean isTrue(Object value) {
    return switch (value) {
      case Boolean b -> b;
      case None _, Undefined _ -> false;
      case String s -> !s.isEmpty();
      case Markup(String text) -> !text.isEmpty();
      case Long n -> n != 0;
      case Double d -> d != 0;
      case List<?> list -> !list.isEmpty();
      case Map<?, ?> map -> !map.isEmpty();
      case View(_, List<Object> elements) -> !elements.isEmpty();
      default -> true;
    };
  }

  /// Python's name of a value's type.
  static String type(Object value) {
    return switch (value) {
      case None _ -> "NoneType";
      case Undefined _ -> "Undefined";
      case Boolean _ -> "bool";
      case Long _, BigInteger _ -> "int";
      case Double _ -> "float";
      case String _, Markup _ -> "str";
      case Tuple _ -> "tuple";
      case List<?> _ -> "list";
      case Map<?, ?> _ -> "dict";
      case View(String type, _) -> type;
      case Lazy _ -> "generator";
      case Namespace _ -> "Namespace";
      default -> "function";
    };
  }

  static boolean isNumber(Object value) {
    return value instanceof Long
        || value instanceof Double
        || value instanceof Boolean
        || value instanceof BigInteger;
  }

  /// An integer in Python's sense, which a truth value is too.
  static boolean isInteger(Object value) {
    return value instanceof Long || value instanceof Boolean || value instanceof BigInteger;
  }

  static long expectInteger(Object value, String what) {
    return switch (value) {
      case Long n -> n;
      case Boolean b -> b ? 1 : 0;
      case Undefined undefined -> throw undefined.failure();
      default -> throw new Failure("'" + what + "' must be an integer, not " + type(value));
    };
  }

  static String expectText(Object value, String what) {
    return switch (value) {
      case String s -> s;
      case Markup(String text) -> text;
      case Undefined undefined -> throw undefined.failure();
      default -> throw new Failure("'" + what + "' must be a string, not " + type(value));
    };
  }

  static double toDouble(Object number) {
    return switch (number) {
      case Long n -> n;
      case Double d -> d;
      case Boolean b -> b ? 1 : 0;
      case BigInteger n -> n.doubleValue();
      default -> throw new Failure("expected a number, not " + type(number));
    };
  }

  static BigInteger toBig(Object integer) {
    return switch (integer) {
      case BigInteger n -> n;
      case Long n -> BigInteger.valueOf(n);
      case Boolean b -> b ? BigInteger.ONE : BigInteger.ZERO;
      default -> throw new Failure("expected an integer, not " + type(integer));
    };
  }

  static boolean equal(Object a, Object b, Budget budget) {
    return equal(a, b, budget, 0);
  }

  @SuppressWarnings("ReferenceEquality") // what is neither of these is equal to itself only
  private static boolean equal(Object a, Object b, Budget budget, int depth) {
    if (depth > Budget.MAX_VALUE_DEPTH) {
      throw new Failure("a value nests deeper than " + Budget.MAX_VALUE_DEPTH);
    }
    if (isNumber(a) && isNumber(b)) {
      return compareNumbers(a, b) == 0;
    }
    a = plain(a);
    b = plain(b);
    if (a instanceof String s && b instanceof String t) {
      budget.scan(Math.min(s.length(), t.length()));
      return s.equals(t);
    }
    if (a instanceof List<?> s && b instanceof List<?> t) {
      if (s.size() != t.size() || (a instanceof Tuple) != (b instanceof Tuple)) {
        return false;
      }
      for (int i = 0; i < s.size(); i++) {
        budget.step();
        if (!equal(s.get(i), t.get(i), budget, depth + 1)) {
          return false;
        }
      }
      return true;
    }
    if (a instanceof Map<?, ?> s && b instanceof Map<?, ?> t) {
      if (s.size() != t.size()) {
        return false;
      }
      for (var entry : s.entrySet()) {
        budget.step();
        Object other = t.get(entry.getKey());
        if (other == null || !equal(entry.getValue(), other, budget, depth + 1)) {
          return false;
        }
      }
      return true;
    }
    return a == b || (a instanceof Undefined && b instanceof Undefined);
  }

  /// Compares numbers; a NaN is unequal to everything and neither less nor greater.
  private static int compareNumbers(Object a, Object b) {
    if (a instanceof Double || b instanceof Double) {
      double x = toDouble(a);
      double y = toDouble(b);
      return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
    }
    return a instanceof Long x && b instanceof Long y
        ? Long.compare(x, y)
        : toBig(a).compareTo(toBig(b));
  }

  /// `a < b`, and so on.
  static boolean ordered(Object a, String operator, Object b, Budget budget) {
    int order = compare(plain(a), plain(b), operator, budget, 0);
    return switch (operator) {
      case "<" -> order == -1;
      case "<=" -> order == -1 || order == 0;
      case ">" -> order == 1;
      default -> order == 1 || order == 0;
    };
  }

  static int compare(Object a, Object b, String operator, Budget budget, int depth) {
    if (isNumber(a) && isNumber(b)) {
      return compareNumbers(a, b);
    }
    if (a instanceof String s && b instanceof String t) {
      budget.scan(Math.min(s.length(), t.length()));
      return compareTexts(s, t);
    }
    if (a instanceof List<?> s
        && b instanceof List<?> t
        && (a instanceof Tuple) == (b instanceof Tuple)
        && depth < Budget.MAX_VALUE_DEPTH) {
      for (int i = 0; i < Math.min(s.size(), t.size()); i++) {
        budget.step();
        if (!equal(s.get(i), t.get(i), budget)) {
          return compare(s.get(i), t.get(i), operator, budget, depth + 1);
        }
      }
      return Integer.compare(s.size(), t.size());
    }
    if (a instanceof Undefined undefined) {
      throw undefined.failure();
    }
    if (b instanceof Undefined undefined) {
      throw undefined.failure();
    }
    throw new Failure("'" + operator + "' is not defined between " + type(a) + " and " + type(b));
  }

  /// In the order of code points, which that of UTF-16 units is not.
  static int compareTexts(String a, String b) {
    int length = Math.min(a.length(), b.length());
    for (int i = 0; i < length; i++) {
      char x = a.charAt(i);
      char y = b.charAt(i);
      if (x != y) {
        boolean wide = Character.isSurrogate(x) != Character.isSurrogate(y);
        return wide ? (Character.isSurrogate(x) ? 1 : -1) : Integer.signum(x - y);
      }
    }
    return Integer.compare(a.length(), b.length());
  }

  /// `part in whole`
  static boolean contains(Object whole, Object part, Budget budget) {
    return switch (plain(whole)) {
      case String text -> {
        if (!(plain(part) instanceof String s)) {
          throw part instanceof Undefined undefined
              ? undefined.failure()
              : new Failure("'in <string>' needs a string on its left, not " + type(part));
        }
        budget.scan(text.length());
        yield text.contains(s);
      }
      case Map<?, ?> map -> map.containsKey(key(part));
      default -> {
        Iterator<Object> elements = iterate(whole, budget);
        while (elements.hasNext()) {
          budget.step();
          if (equal(elements.next(), part, budget)) {
            yield true;
          }
        }
        yield false;
      }
    };
  }

  /// A value as the key of a dict: a scalar, or a short tuple of scalars. Others would hash and
  /// compare without end.
  static Object key(Object value) {
    Object key = plain(value);
    boolean tuple =
        key instanceof Tuple elements
            && elements.size() <= MAX_KEY_TUPLE
            && elements.stream().allMatch(Values::isScalar);
    if (!isScalar(key) && !tuple) {
      throw new Failure("a value of type " + type(key) + " cannot be a key");
    }
    return key;
  }

  static boolean isScalar(Object value) {
    return value instanceof String
        || value == None.NONE
        || value instanceof Undefined
        || isNumber(value);
  }

  static Iterator<Object> iterate(Object value, Budget budget) {
    return switch (plain(value)) {
      case List<?> list -> objects(list);
      case Map<?, ?> map -> objects(map.keySet());
      case View(_, List<Object> elements) -> elements.iterator();
      case Lazy(Iterator<Object> elements) -> elements;
      case String text -> {
        budget.items(text.length());
        yield PythonText.characters(text).iterator();
      }
      case Undefined _ -> Collections.emptyIterator();
      default -> throw new Failure("a value of type " + type(value) + " cannot be iterated over");
    };
  }

  private static Iterator<Object> objects(Iterable<?> elements) {
    Iterator<?> iterator = elements.iterator();
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return iterator.hasNext();
      }

      @Override
      public Object next() {
        return iterator.next();
      }
    };
  }

  /// The elements of anything that can be iterated over.
  static List<Object> list(Object value, Budget budget) {
    List<Object> list = new ArrayList<>();
    Iterator<Object> elements = iterate(value, budget);
    while (elements.hasNext()) {
      if (list.size() == Budget.MAX_ITEMS) {
        budget.items(list.size() + 1L);
      }
      list.add(elements.next());
    }
    budget.items(list.size());
    return list;
  }

  /// The length of a value that has one, or -1.
  static int length(Object value) {
    return switch (value) {
      case String text -> PythonText.length(text);
      case Markup(String text) -> PythonText.length(text);
      case List<?> list -> list.size();
      case Map<?, ?> map -> map.size();
      case View(_, List<Object> elements) -> elements.size();
      case Undefined _ -> 0;
      default -> -1;
    };
  }
}
