package dev.tessera.models.template;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/// The filters on sequences. As in Jinja, `map`, `select` and their like give a generator: true
/// even when empty, and without a length.
final class SequenceFilters {
  private SequenceFilters() {}

  interface Registry {
    void put(Filter filter, String... names);
  }

  static void define(Registry filters) {
    filters.put((e, value, _) -> Filters.list(value, e), "list");
    filters.put((e, value, _) -> first(value, e), "first");
    filters.put((e, value, _) -> last(value, e), "last");
    filters.put((e, value, a) -> joined(value, a, e), "join");
    filters.put((e, value, a) -> mapped(value, a, e), "map");
    filters.put((e, value, a) -> selected(value, a, e, true, false), "select");
    filters.put((e, value, a) -> selected(value, a, e, false, false), "reject");
    filters.put((e, value, a) -> selected(value, a, e, true, true), "selectattr");
    filters.put((e, value, a) -> selected(value, a, e, false, true), "rejectattr");
    filters.put((e, value, _) -> items(value, e), "items");
    filters.put((e, value, a) -> dictSorted(value, a, e), "dictsort");
    filters.put((e, value, a) -> sorted(value, a, e), "sort");
    filters.put((e, value, a) -> unique(value, a, e), "unique");
    filters.put((e, value, a) -> extreme(value, a, e, false), "min");
    filters.put((e, value, a) -> extreme(value, a, e, true), "max");
    filters.put((e, value, a) -> sum(value, a, e), "sum");
    filters.put((e, value, _) -> reversed(value, e), "reverse");
    filters.put((e, value, a) -> batched(value, a, e), "batch");
    filters.put((e, value, a) -> sliced(value, a, e), "slice");
    filters.put((e, value, a) -> grouped(value, a, e), "groupby");
  }

  private static Object first(Object value, Evaluator e) {
    if (value instanceof String text) {
      return text.isEmpty()
          ? new Undefined("the first element of nothing")
          : text.substring(0, text.offsetByCodePoints(0, 1));
    }
    Iterator<Object> elements = Values.iterate(value, e.budget);
    return elements.hasNext() ? elements.next() : new Undefined("the first element of nothing");
  }

  private static Object last(Object value, Evaluator e) {
    if (value instanceof String text) {
      return text.isEmpty()
          ? new Undefined("the last element of nothing")
          : text.substring(text.offsetByCodePoints(text.length(), -1));
    }
    if (value instanceof Lazy) {
      throw new Failure("a generator has no last element");
    }
    List<Object> elements = Filters.list(value, e);
    return elements.isEmpty() ? new Undefined("the last element of nothing") : elements.getLast();
  }

  private static Object joined(Object value, Arguments arguments, Evaluator e) {
    arguments.check("join", "d", "attribute");
    String separator = Filters.text(arguments.get(0, "d", ""), e);
    UnaryOperator<Object> key = attribute(arguments.get(1, "attribute"), e);
    var out = new StringBuilder();
    boolean first = true;
    Iterator<Object> elements = Values.iterate(value, e.budget);
    while (elements.hasNext()) {
      int before = out.length();
      out.append(first ? "" : separator);
      out.append(Printer.str(key.apply(elements.next()), e.budget));
      first = false;
      e.budget.step();
      e.budget.grown(before, out.length());
    }
    return out.toString();
  }

  /// Reads `a.b.0` off a value; the value itself where nothing is named.
  private static UnaryOperator<Object> attribute(@Nullable Object name, Evaluator e) {
    if (name == null || name == None.NONE) {
      return value -> value;
    }
    List<Object> path = new ArrayList<>();
    if (Values.plain(name) instanceof String text) {
      for (Object part : PythonText.split(text, ".", -1, false)) {
        Long index =
            ((String) part).chars().allMatch(Character::isDigit)
                ? Numbers.integer((String) part, 10)
                : null;
        path.add(index == null ? part : index);
      }
    } else {
      path.add(name);
    }
    return value -> {
      Object at = value;
      for (Object part : path) {
        e.budget.step();
        at = Members.item(Values.plain(at), part, e.budget);
      }
      return at;
    };
  }

  /// For sorting and comparing without regard to case.
  private static UnaryOperator<Object> key(
      Arguments arguments, int attribute, int sensitive, Evaluator e) {
    UnaryOperator<Object> read = attribute(arguments.get(attribute, "attribute"), e);
    boolean caseSensitive = arguments.flag(sensitive, "case_sensitive", false);
    return value -> {
      Object key = Values.plain(read.apply(value));
      return key instanceof String text && !caseSensitive ? lower(text, e) : key;
    };
  }

  private static String lower(String text, Evaluator e) {
    e.budget.text(text.length());
    return PythonText.lower(text);
  }

  private static Lazy mapped(Object value, Arguments arguments, Evaluator e) {
    Object attribute = arguments.named().get("attribute");
    UnaryOperator<Object> function;
    if (arguments.positional().isEmpty() && attribute != null) {
      arguments.check("map", "name", "attribute", "default");
      UnaryOperator<Object> read = attribute(attribute, e);
      Object otherwise = arguments.named().get("default");
      function =
          element -> {
            Object member = read.apply(element);
            return member instanceof Undefined && otherwise != null ? otherwise : member;
          };
    } else {
      String name = arguments.requiredText(0, "name");
      Filter filter = Filters.named(name);
      if (filter == null) {
        throw new Failure("the filter '" + name + "' is not supported");
      }
      Arguments rest = arguments.after(1);
      function = element -> filter.apply(e, Values.plain(element), rest);
    }
    List<Object> mapped = new ArrayList<>();
    for (Object element : listIfTrue(value, e)) {
      e.budget.step();
      mapped.add(function.apply(element));
    }
    return Lazy.of(mapped);
  }

  private static Lazy selected(
      Object value, Arguments arguments, Evaluator e, boolean wanted, boolean byAttribute) {
    UnaryOperator<Object> read =
        attribute(byAttribute ? arguments.required(0, "attribute") : null, e);
    int at = byAttribute ? 1 : 0;
    Test test = (_, element, _) -> Values.isTrue(element);
    Arguments rest = Arguments.NONE;
    if (arguments.positional().size() > at) {
      String name = arguments.requiredText(at, "test");
      Test named = Tests.named(name);
      if (named == null) {
        throw new Failure("the test '" + name + "' is not supported");
      }
      test = named;
      rest = arguments.after(at + 1);
    }
    List<Object> selected = new ArrayList<>();
    for (Object element : listIfTrue(value, e)) {
      e.budget.step();
      if (test.holds(e, Values.plain(read.apply(element)), rest) == wanted) {
        selected.add(element);
      }
    }
    return Lazy.of(selected);
  }

  /// `map` and `select` take `None` and the like as nothing.
  private static List<Object> listIfTrue(Object value, Evaluator e) {
    return Values.isTrue(value) ? Filters.list(value, e) : List.of();
  }

  private static Object items(Object value, Evaluator e) {
    return switch (value) {
      case Undefined _ -> Lazy.of(List.of());
      case Map<?, ?> map -> {
        e.budget.items(map.size());
        yield Lazy.of(Methods.items(map));
      }
      default -> throw new Failure("the filter 'items' needs a dict, not " + Values.type(value));
    };
  }

  private static Comparator<Object> order(Evaluator e, boolean reverse) {
    Comparator<Object> order =
        (a, b) -> {
          e.budget.step();
          return Values.compare(a, b, "<", e.budget, 0);
        };
    return reverse ? order.reversed() : order;
  }

  /// Sorts by keys; a comparison that contradicts itself (NaN) is an error, never a crash.
  private static List<Object> sort(
      List<Object> elements, UnaryOperator<Object> key, boolean reverse, Evaluator e) {
    List<Object[]> keyed = new ArrayList<>(elements.size());
    elements.forEach(element -> keyed.add(new Object[] {key.apply(element), element}));
    Comparator<Object> order = order(e, reverse);
    try {
      keyed.sort((a, b) -> order.compare(a[0], b[0]));
    } catch (IllegalArgumentException ex) {
      throw new Failure("the values to sort have no order");
    }
    List<Object> sorted = new ArrayList<>(elements.size());
    keyed.forEach(pair -> sorted.add(pair[1]));
    return sorted;
  }

  private static Object dictSorted(Object value, Arguments arguments, Evaluator e) {
    arguments.check("dictsort", "case_sensitive", "by", "reverse");
    if (!(value instanceof Map<?, ?> map)) {
      throw value instanceof Undefined undefined
          ? undefined.failure()
          : new Failure("the filter 'dictsort' needs a dict, not " + Values.type(value));
    }
    boolean caseSensitive = arguments.flag(0, "case_sensitive", false);
    int index =
        switch (arguments.text(1, "by", "key")) {
          case "key" -> 0;
          case "value" -> 1;
          default -> throw new Failure("dictsort sorts by 'key' or 'value'");
        };
    e.budget.items(map.size());
    return sort(
        Methods.items(map),
        item -> {
          Object key = Values.plain(((Tuple) item).get(index));
          return key instanceof String text && !caseSensitive ? lower(text, e) : key;
        },
        arguments.flag(2, "reverse", false),
        e);
  }

  private static Object sorted(Object value, Arguments arguments, Evaluator e) {
    arguments.check("sort", "reverse", "case_sensitive", "attribute");
    UnaryOperator<Object> key = key(arguments, 2, 1, e);
    if (arguments.get(2, "attribute") instanceof String several && several.indexOf(',') >= 0) {
      boolean caseSensitive = arguments.flag(1, "case_sensitive", false);
      List<UnaryOperator<Object>> keys = new ArrayList<>();
      for (Object one : PythonText.split(several, ",", -1, false)) {
        keys.add(attribute(one, e));
      }
      key =
          element -> {
            List<Object> parts = new ArrayList<>();
            for (UnaryOperator<Object> part : keys) {
              Object read = Values.plain(part.apply(element));
              parts.add(read instanceof String s && !caseSensitive ? lower(s, e) : read);
            }
            return parts;
          };
    }
    return sort(Filters.list(value, e), key, arguments.flag(0, "reverse", false), e);
  }

  private static Lazy unique(Object value, Arguments arguments, Evaluator e) {
    arguments.check("unique", "case_sensitive", "attribute");
    UnaryOperator<Object> key = key(arguments, 1, 0, e);
    Set<Object> seen = new HashSet<>();
    List<Object> unique = new ArrayList<>();
    for (Object element : Filters.list(value, e)) {
      e.budget.step();
      if (seen.add(Values.key(key.apply(element)))) {
        unique.add(element);
      }
    }
    return Lazy.of(unique);
  }

  private static Object extreme(Object value, Arguments arguments, Evaluator e, boolean greatest) {
    arguments.check(greatest ? "max" : "min", "case_sensitive", "attribute");
    UnaryOperator<Object> key = key(arguments, 1, 0, e);
    Object best = null;
    for (Object element : Filters.list(value, e)) {
      e.budget.step();
      if (best == null
          || Values.ordered(key.apply(element), greatest ? ">" : "<", key.apply(best), e.budget)) {
        best = element;
      }
    }
    return best == null ? new Undefined("the extreme of nothing") : best;
  }

  private static Object sum(Object value, Arguments arguments, Evaluator e) {
    arguments.check("sum", "attribute", "start");
    UnaryOperator<Object> key = attribute(arguments.get(0, "attribute"), e);
    Object sum = arguments.get(1, "start", 0L);
    for (Object element : Filters.list(value, e)) {
      e.budget.step();
      sum = Operators.apply(sum, "+", key.apply(element), e.budget);
    }
    return sum;
  }

  private static Object reversed(Object value, Evaluator e) {
    if (value instanceof String text) {
      e.budget.text(text.length());
      return new StringBuilder(text).reverse().toString();
    }
    List<Object> elements = Filters.list(value, e);
    Collections.reverse(elements);
    return Lazy.of(elements);
  }

  private static Lazy batched(Object value, Arguments arguments, Evaluator e) {
    arguments.check("batch", "linecount", "fill_with");
    long size = Values.expectInteger(arguments.required(0, "linecount"), "linecount");
    if (size < 1 || size > Budget.MAX_ITEMS) {
      throw new Failure("a batch must have 1 to " + Budget.MAX_ITEMS + " elements");
    }
    List<Object> batches = new ArrayList<>();
    List<Object> batch = new ArrayList<>();
    for (Object element : Filters.list(value, e)) {
      if (batch.size() == size) {
        batches.add(batch);
        batch = new ArrayList<>();
      }
      batch.add(element);
    }
    if (!batch.isEmpty()) {
      Object fill = arguments.get(1, "fill_with", None.NONE);
      e.budget.items(size);
      while (fill != None.NONE && batch.size() < size) {
        batch.add(fill);
      }
      batches.add(batch);
    }
    return Lazy.of(batches);
  }

  private static Lazy sliced(Object value, Arguments arguments, Evaluator e) {
    arguments.check("slice", "slices", "fill_with");
    long slices = Values.expectInteger(arguments.required(0, "slices"), "slices");
    if (slices < 1 || slices > Budget.MAX_ITEMS) {
      throw new Failure("slice() needs 1 to " + Budget.MAX_ITEMS + " slices");
    }
    e.budget.items(slices);
    List<Object> elements = Filters.list(value, e);
    Object fill = arguments.get(1, "fill_with", None.NONE);
    List<Object> all = new ArrayList<>();
    int count = (int) slices;
    int shortest = elements.size() / count;
    int longer = elements.size() % count;
    int from = 0;
    for (int i = 0; i < count; i++) {
      int to = from + shortest + (i < longer ? 1 : 0);
      List<Object> slice = new ArrayList<>(elements.subList(from, to));
      if (fill != None.NONE && i >= longer) {
        slice.add(fill);
      }
      all.add(slice);
      from = to;
    }
    return Lazy.of(all);
  }

  private static Object grouped(Object value, Arguments arguments, Evaluator e) {
    arguments.check("groupby", "attribute", "default", "case_sensitive");
    UnaryOperator<Object> read = attribute(arguments.required(0, "attribute"), e);
    Object otherwise = arguments.get(1, "default");
    boolean caseSensitive = arguments.flag(2, "case_sensitive", false);
    UnaryOperator<Object> key =
        element -> {
          Object member = Values.plain(read.apply(element));
          return member instanceof Undefined && otherwise != null ? otherwise : member;
        };
    UnaryOperator<Object> folded =
        element ->
            key.apply(element) instanceof String text && !caseSensitive
                ? lower(text, e)
                : key.apply(element);
    Map<Object, List<Object>> groups = new LinkedHashMap<>();
    for (Object element : sort(Filters.list(value, e), folded, false, e)) {
      groups
          .computeIfAbsent(Values.key(folded.apply(element)), _ -> new ArrayList<>())
          .add(element);
    }
    List<Object> pairs = new ArrayList<>();
    groups.forEach((_, elements) -> pairs.add(Tuple.of(key.apply(elements.getFirst()), elements)));
    return pairs;
  }
}
