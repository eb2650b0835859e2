package dev.tessera.models.template;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The filters after `|`; those on texts and numbers are here, those on sequences in
/// [SequenceFilters].
final class Filters {
  private static final Map<String, Filter> ALL = new HashMap<>();

  static {
    put((e, value, a) -> JsonWriter.write(value, a, e.budget), "tojson");
    put(
        (e, value, _) -> JsonReader.read(Values.expectText(value, "from_json"), e.budget),
        "from_json");
    put((_, value, a) -> otherwise(value, a), "default", "d");
    put((e, value, _) -> text(value, e), "string");
    put((e, value, _) -> new Markup(text(value, e)), "safe");
    put((e, value, _) -> escaped(value, e), "escape", "e", "forceescape");
    put((e, value, a) -> trimmed(value, a, e), "trim");
    put((e, value, _) -> PythonText.upper(text(value, e)), "upper");
    put((e, value, _) -> PythonText.lower(text(value, e)), "lower");
    put((e, value, _) -> PythonText.capitalize(text(value, e)), "capitalize");
    put((e, value, _) -> title(text(value, e)), "title");
    put((e, value, a) -> replaced(value, a, e), "replace");
    put((e, value, a) -> indented(value, a, e), "indent");
    put((e, value, a) -> centered(value, a, e), "center");
    put((e, value, a) -> truncated(value, a, e), "truncate");
    put((e, value, _) -> words(text(value, e)), "wordcount");
    put((e, value, a) -> formatted(value, a, e), "format");
    put((e, value, _) -> length(value, e), "length", "count");
    put((e, value, a) -> toInteger(value, a), "int");
    put((e, value, a) -> toFloat(value, a), "float");
    put((e, value, a) -> rounded(value, a), "round");
    put((_, value, _) -> absolute(value), "abs");
    SequenceFilters.define(Filters::put);
  }

  private Filters() {}

  static @Nullable Filter named(String name) {
    return ALL.get(name);
  }

  private static void put(Filter filter, String... names) {
    for (String name : names) {
      ALL.put(name, filter);
    }
  }

  static String text(Object value, Evaluator evaluator) {
    String text = Printer.str(value, evaluator.budget);
    evaluator.budget.scan(text.length());
    return text;
  }

  private static Object otherwise(Object value, Arguments arguments) {
    arguments.check("default", "default_value", "boolean");
    boolean alsoFalse = arguments.flag(1, "boolean", false);
    boolean missing = value instanceof Undefined || (alsoFalse && !Values.isTrue(value));
    return missing ? arguments.get(0, "default_value", "") : value;
  }

  private static Object escaped(Object value, Evaluator evaluator) {
    String escaped = Markup.escape(text(value, evaluator));
    evaluator.budget.text(escaped.length());
    return new Markup(escaped);
  }

  private static Object trimmed(Object value, Arguments arguments, Evaluator evaluator) {
    Object characters = arguments.check("trim", "chars").get(0, "chars", None.NONE);
    return PythonText.strip(
        text(value, evaluator),
        characters == None.NONE ? null : Values.expectText(characters, "chars"),
        true,
        true);
  }

  /// Words begin after white space, hyphens and opening brackets.
  private static String title(String text) {
    var out = new StringBuilder(text.length());
    boolean begins = true;
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      String one = Character.toString(c);
      out.append(begins ? PythonText.upper(one) : PythonText.lower(one));
      begins = PythonText.isSpace(c) || "-({[<".indexOf(c) >= 0;
      i += Character.charCount(c);
    }
    return out.toString();
  }

  private static Object replaced(Object value, Arguments arguments, Evaluator evaluator) {
    arguments.check("replace", "old", "new", "count");
    return TextMethods.replace(
        text(value, evaluator),
        text(arguments.required(0, "old"), evaluator),
        text(arguments.required(1, "new"), evaluator),
        arguments.integer(2, "count", -1),
        evaluator.budget);
  }

  private static Object indented(Object value, Arguments arguments, Evaluator evaluator) {
    arguments.check("indent", "width", "first", "blank");
    Object width = Values.plain(arguments.get(0, "width", 4L));
    String indentation =
        width instanceof String text
            ? text
            : TextMethods.padded(
                "", Values.expectInteger(width, "width"), 0, " ", evaluator.budget);
    boolean first = arguments.flag(1, "first", false);
    boolean blank = arguments.flag(2, "blank", false);
    List<String> lines = PythonText.lines(text(value, evaluator) + '\n', false);
    var out = new StringBuilder(first ? indentation : "");
    for (int i = 0; i < lines.size(); i++) {
      int before = out.length();
      if (i > 0) {
        out.append('\n').append(blank || !lines.get(i).isEmpty() ? indentation : "");
      }
      out.append(lines.get(i));
      evaluator.budget.grown(before, out.length());
    }
    return out.toString();
  }

  private static Object centered(Object value, Arguments arguments, Evaluator evaluator) {
    long width = arguments.check("center", "width").integer(0, "width", 80);
    return TextMethods.call(
        text(value, evaluator),
        "center",
        new Arguments(List.of(width), Map.of()),
        evaluator.budget);
  }

  private static Object truncated(Object value, Arguments arguments, Evaluator evaluator) {
    arguments.check("truncate", "length", "killwords", "end", "leeway");
    String text = text(value, evaluator);
    String end = arguments.text(2, "end", "...");
    long length = arguments.integer(0, "length", 255);
    if (PythonText.length(text) <= length + arguments.integer(3, "leeway", 5)) {
      return text;
    }
    long kept = length - PythonText.length(end);
    if (kept < 0) {
      throw new Failure("truncate() needs a length of at least that of its end");
    }
    String cut = text.substring(0, text.offsetByCodePoints(0, (int) kept));
    int space = cut.lastIndexOf(' ');
    boolean killsWords = arguments.flag(1, "killwords", false);
    return (killsWords || space < 0 ? cut : cut.substring(0, space)) + end;
  }

  private static long words(String text) {
    long words = 0;
    boolean inWord = false;
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      boolean wordPart = Character.isLetterOrDigit(c) || c == '_';
      words += wordPart && !inWord ? 1 : 0;
      inWord = wordPart;
      i += Character.charCount(c);
    }
    return words;
  }

  private static Object formatted(Object value, Arguments arguments, Evaluator evaluator) {
    if (!arguments.named().isEmpty() && !arguments.positional().isEmpty()) {
      throw new Failure("format() takes positional or named arguments, not both");
    }
    Object values =
        arguments.named().isEmpty() ? new Tuple(arguments.positional()) : arguments.named();
    return PercentFormat.format(text(value, evaluator), values, evaluator.budget);
  }

  private static Object length(Object value, Evaluator e) {
    int length = Values.length(value);
    if (value instanceof String text) {
      e.budget.scan(text.length());
    }
    if (length < 0) {
      throw new Failure("a value of type " + Values.type(value) + " has no length");
    }
    return (long) length;
  }

  private static Object toInteger(Object value, Arguments arguments) {
    arguments.check("int", "default", "base");
    Object otherwise = arguments.get(0, "default", 0L);
    return switch (value) {
      case Undefined undefined -> throw undefined.failure();
      case Long n -> n;
      case Boolean b -> b ? 1L : 0L;
      case java.math.BigInteger n -> n;
      case Double d -> whole(d, otherwise);
      case String text -> {
        Long integer = Numbers.integer(text, (int) arguments.integer(1, "base", 10));
        Double number = integer == null ? Numbers.decimal(text) : null;
        yield integer != null ? integer : number != null ? whole(number, otherwise) : otherwise;
      }
      default -> otherwise;
    };
  }

  private static Object whole(double number, Object otherwise) {
    return Math.abs(number) < 0x1p63 ? (Object) (long) number : otherwise;
  }

  private static Object toFloat(Object value, Arguments arguments) {
    Object otherwise = arguments.check("float", "default").get(0, "default", 0.0);
    if (value instanceof Undefined undefined) {
      throw undefined.failure();
    }
    if (Values.isNumber(value)) {
      return Values.toDouble(value);
    }
    Double number = value instanceof String text ? Numbers.decimal(text) : null;
    return number == null ? otherwise : number;
  }

  private static Object rounded(Object value, Arguments arguments) {
    arguments.check("round", "precision", "method");
    int places = (int) Math.clamp(arguments.integer(0, "precision", 0), -400L, 400L);
    return Numbers.round(value, places, arguments.text(1, "method", "common"));
  }

  private static Object absolute(Object value) {
    return switch (value) {
      case Double d -> Math.abs(d);
      case Undefined undefined -> throw undefined.failure();
      default -> {
        long number = Values.expectInteger(value, "abs");
        yield number < 0 ? Operators.signed(true, number) : number;
      }
    };
  }

  /// The elements of a value that can be iterated over.
  static List<Object> list(Object value, Evaluator evaluator) {
    return Values.list(value, evaluator.budget);
  }
}
