package dev.tessera.models.template;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The tests after `is`.
final class Tests {
  private static final Map<String, Test> ALL = new HashMap<>();

  static {
    put((_, value, _) -> !(value instanceof Undefined), "defined");
    put((_, value, _) -> value instanceof Undefined, "undefined");
    put((_, value, _) -> value == None.NONE, "none");
    put((_, value, _) -> value instanceof Boolean, "boolean");
    put((_, value, _) -> value.equals(true), "true");
    put((_, value, _) -> value.equals(false), "false");
    put((_, value, _) -> Values.isInteger(value) && !(value instanceof Boolean), "integer");
    put((_, value, _) -> value instanceof Double, "float");
    put((_, value, _) -> Values.isNumber(value), "number");
    put((_, value, _) -> value instanceof String, "string");
    put((_, value, _) -> value instanceof Map<?, ?>, "mapping");
    put((_, value, _) -> isSequence(value), "sequence");
    put(
        (_, value, _) -> isSequence(value) || value instanceof Lazy || value instanceof View,
        "iterable");
    put((_, value, _) -> value instanceof Callable, "callable");
    put((_, value, a) -> same(value, Values.plain(a.required(0, "other"))), "sameas");
    put((_, value, _) -> false, "escaped");
    put((e, value, a) -> Values.contains(a.required(0, "seq"), value, e.budget), "in");
    put((e, value, a) -> Values.equal(value, a.required(0, "b"), e.budget), "==", "eq", "equalto");
    put((e, value, a) -> !Values.equal(value, a.required(0, "b"), e.budget), "!=", "ne");
    putOrder("<", "lt", "lessthan");
    putOrder("<=", "le");
    putOrder(">", "gt", "greaterthan");
    putOrder(">=", "ge");
    put((e, value, _) -> modulo(value, 2L, e) == 1, "odd");
    put((e, value, _) -> modulo(value, 2L, e) == 0, "even");
    put((e, value, a) -> modulo(value, a.required(0, "num"), e) == 0, "divisibleby");
    put(
        (e, value, _) ->
            (boolean) TextMethods.call(text(value, e), "islower", Arguments.NONE, e.budget),
        "lower");
    put(
        (e, value, _) ->
            (boolean) TextMethods.call(text(value, e), "isupper", Arguments.NONE, e.budget),
        "upper");
    put((_, value, _) -> value instanceof String name && Filters.named(name) != null, "filter");
    put((_, value, _) -> value instanceof String name && named(name) != null, "test");
  }

  private Tests() {}

  static @Nullable Test named(String name) {
    return ALL.get(name);
  }

  private static void put(Test test, String... names) {
    for (String name : names) {
      ALL.put(name, test);
    }
  }

  private static void putOrder(String operator, String... names) {
    Test test = (e, value, a) -> Values.ordered(value, operator, a.required(0, "b"), e.budget);
    put(test, names);
    put(test, operator);
  }

  private static String text(Object value, Evaluator evaluator) {
    return Printer.str(value, evaluator.budget);
  }

  /// What has a length and an index; an undefined value has both, and is an error only when asked.
  private static boolean isSequence(Object value) {
    return value instanceof List<?>
        || value instanceof String
        || value instanceof Map<?, ?>
        || value instanceof Undefined;
  }

  @SuppressWarnings("ReferenceEquality")
  private static boolean same(Object a, Object b) {
    return a == b || (Values.isScalar(a) && a.equals(b));
  }

  private static double modulo(Object value, Object by, Evaluator evaluator) {
    return Values.toDouble(Operators.apply(value, "%", by, evaluator.budget));
  }
}
