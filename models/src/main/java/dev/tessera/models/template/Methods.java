package dev.tessera.models.template;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// The methods of texts, lists and dicts. Those that change a value are refused when called, as in
/// an immutable sandbox.
final class Methods {
  private static final Set<String> TEXT =
      Set.of(
          "capitalize",
          "casefold",
          "center",
          "count",
          "endswith",
          "find",
          "format",
          "index",
          "isalnum",
          "isalpha",
          "isascii",
          "isdecimal",
          "isdigit",
          "islower",
          "isnumeric",
          "isspace",
          "istitle",
          "isupper",
          "join",
          "ljust",
          "lower",
          "lstrip",
          "partition",
          "removeprefix",
          "removesuffix",
          "replace",
          "rfind",
          "rindex",
          "rjust",
          "rpartition",
          "rsplit",
          "rstrip",
          "split",
          "splitlines",
          "startswith",
          "strip",
          "swapcase",
          "title",
          "upper",
          "zfill");
  private static final Set<String> LIST = Set.of("count", "index", "copy");
  private static final Set<String> DICT = Set.of("copy", "get", "items", "keys", "values");
  private static final Set<String> CHANGING_LIST =
      Set.of("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort");
  private static final Set<String> CHANGING_DICT =
      Set.of("clear", "pop", "popitem", "setdefault", "update");
  private static final Set<String> UNSUPPORTED =
      Set.of(
          "encode",
          "decode",
          "expandtabs",
          "format_map",
          "fromkeys",
          "isidentifier",
          "isprintable",
          "maketrans",
          "translate");

  private Methods() {}

  /// Python methods that this interpreter lacks are refused when the template is compiled.
  static void refuseUnsupported(String method) {
    if (UNSUPPORTED.contains(method)) {
      throw new Failure("the method '" + method + "' is not supported");
    }
  }

  /// The method of a value, or null.
  static @Nullable Object of(Object value, String name) {
    return switch (value) {
      case String text when TEXT.contains(name) ->
          (Callable) (evaluator, a) -> TextMethods.call(text, name, a, evaluator.budget);
      case List<?> list when LIST.contains(name) ->
          (Callable) (evaluator, a) -> call(list, name, a, evaluator.budget);
      case List<?> list when !(list instanceof Tuple) && CHANGING_LIST.contains(name) ->
          forbidden("list", name);
      case Map<?, ?> map when DICT.contains(name) ->
          (Callable) (evaluator, a) -> call(map, name, a, evaluator.budget);
      case Map<?, ?> _ when CHANGING_DICT.contains(name) -> forbidden("dict", name);
      default -> null;
    };
  }

  private static Callable forbidden(String type, String name) {
    return (_, _) -> {
      throw new Failure("the method '" + name + "' would change a " + type + ", which is refused");
    };
  }

  private static Object call(List<?> list, String name, Arguments arguments, Budget budget) {
    if (name.equals("copy")) {
      arguments.check(name);
      budget.items(list.size());
      return new ArrayList<Object>(list);
    }
    Object sought = arguments.check(name, "value").required(0, "value");
    long count = 0;
    for (int i = 0; i < list.size(); i++) {
      budget.step();
      if (Values.equal(list.get(i), sought, budget)) {
        if (name.equals("index")) {
          return (long) i;
        }
        count++;
      }
    }
    if (name.equals("index")) {
      throw new Failure("the value is not in the list");
    }
    return count;
  }

  private static Object call(Map<?, ?> map, String name, Arguments arguments, Budget budget) {
    if (name.equals("get")) {
      arguments.check(name, "key", "default");
      Object value = map.get(Values.key(arguments.required(0, "key")));
      return value == null ? arguments.get(1, "default", None.NONE) : value;
    }
    arguments.check(name);
    budget.items(map.size());
    return switch (name) {
      case "keys" -> new View("dict_keys", new ArrayList<>(map.keySet()));
      case "values" -> new View("dict_values", new ArrayList<>(map.values()));
      case "items" -> new View("dict_items", items(map));
      default -> new java.util.LinkedHashMap<Object, Object>(map);
    };
  }

  static List<Object> items(Map<?, ?> map) {
    List<Object> items = new ArrayList<>(map.size());
    map.forEach((key, value) -> items.add(Tuple.of(key, value)));
    return items;
  }
}
