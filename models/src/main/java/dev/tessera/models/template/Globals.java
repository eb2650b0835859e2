package dev.tessera.models.template;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// The functions that every template can call.
final class Globals {
  private Globals() {}

  static void define(Scope scope) {
    scope.set("range", (Callable) (_, a) -> range(a));
    scope.set("namespace", (Callable) (e, a) -> namespace(a, e.budget));
    scope.set("dict", (Callable) (e, a) -> dict(a, e.budget));
    scope.set("cycler", (Callable) (_, a) -> cycler(a));
    scope.set("joiner", (Callable) (_, a) -> joiner(a));
    scope.set("raise_exception", (Callable) (e, a) -> raise(e, a));
    scope.set(
        "strftime_now",
        (Callable)
            (e, a) ->
                Dates.format(
                    a.check("strftime_now", "format").requiredText(0, "format"), e.clock.now()));
  }

  private static Object raise(Evaluator evaluator, Arguments arguments) {
    Object message = arguments.check("raise_exception", "message").required(0, "message");
    throw new Failure(Printer.str(message, evaluator.budget), Failure.Kind.RAISED);
  }

  private static List<Object> range(Arguments arguments) {
    List<Object> given = arguments.check("range", "start", "stop", "step").positional();
    if (given.isEmpty() || !arguments.named().isEmpty()) {
      throw new Failure("range() takes one to three numbers");
    }
    boolean one = given.size() == 1;
    long start = one ? 0 : Values.expectInteger(given.get(0), "start");
    long stop = Values.expectInteger(given.get(one ? 0 : 1), "stop");
    long step = given.size() < 3 ? 1 : Values.expectInteger(given.get(2), "step");
    if (step == 0) {
      throw new Failure("the step of range() is zero");
    }
    List<Object> numbers = new ArrayList<>();
    for (long i = start; step > 0 ? i < stop : i > stop; i += step) {
      if (numbers.size() == Budget.MAX_ITEMS) {
        throw new Failure(
            "range() makes more than " + Budget.MAX_ITEMS + " numbers", Failure.Kind.LIMIT);
      }
      numbers.add(i);
      if (step > 0 ? i > Long.MAX_VALUE - step : i < Long.MIN_VALUE - step) {
        break;
      }
    }
    return numbers;
  }

  private static Map<Object, Object> dict(Arguments arguments, Budget budget) {
    Map<Object, Object> dict = new LinkedHashMap<>();
    if (arguments.positional().size() > 1) {
      throw new Failure("dict() takes at most one positional argument");
    }
    for (Object source : arguments.positional()) {
      if (!(source instanceof Map<?, ?> map)) {
        throw new Failure("dict() needs a dict, not " + Values.type(source));
      }
      budget.items(map.size());
      dict.putAll(map);
    }
    dict.putAll(arguments.named());
    return dict;
  }

  private static Namespace namespace(Arguments arguments, Budget budget) {
    var namespace = new Namespace();
    dict(arguments, budget)
        .forEach((name, value) -> namespace.attributes.put(Values.expectText(name, "name"), value));
    return namespace;
  }

  private static Object cycler(Arguments arguments) {
    List<Object> items = arguments.positional();
    if (items.isEmpty()) {
      throw new Failure("cycler() needs at least one item");
    }
    var cycler = new Namespace();
    int[] at = {0};
    cycler.attributes.put("current", items.getFirst());
    cycler.attributes.put(
        "next",
        (Callable)
            (_, _) -> {
              Object item = items.get(at[0]);
              at[0] = (at[0] + 1) % items.size();
              cycler.attributes.put("current", items.get(at[0]));
              return item;
            });
    cycler.attributes.put(
        "reset",
        (Callable)
            (_, _) -> {
              at[0] = 0;
              cycler.attributes.put("current", items.getFirst());
              return None.NONE;
            });
    return cycler;
  }

  private static Callable joiner(Arguments arguments) {
    String separator = arguments.check("joiner", "sep").text(0, "sep", ", ");
    boolean[] used = {false};
    return (_, _) -> {
      boolean first = !used[0];
      used[0] = true;
      return first ? "" : separator;
    };
  }
}
