package dev.tessera.models.template;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/// The methods of `str`.
final class TextMethods {
  private TextMethods() {}

  static Object call(String text, String name, Arguments arguments, Budget budget) {
    budget.scan(text.length());
    Object value = compute(text, name, arguments, budget);
    switch (value) {
      case String made -> budget.text(made.length());
      case List<?> parts -> budget.items(parts.size());
      default -> {}
    }
    return value;
  }

  private static Object compute(String text, String name, Arguments a, Budget budget) {
    return switch (name) {
      case "capitalize" -> PythonText.capitalize(none(name, a, text));
      case "casefold", "lower" -> PythonText.lower(none(name, a, text));
      case "upper" -> PythonText.upper(none(name, a, text));
      case "title" -> PythonText.title(none(name, a, text));
      case "swapcase" -> PythonText.swapCase(none(name, a, text));
      case "strip" -> PythonText.strip(text, characters(name, a), true, true);
      case "lstrip" -> PythonText.strip(text, characters(name, a), true, false);
      case "rstrip" -> PythonText.strip(text, characters(name, a), false, true);
      case "split" -> split(text, name, a, false);
      case "rsplit" -> split(text, name, a, true);
      case "splitlines" ->
          new ArrayList<Object>(
              PythonText.lines(text, a.check(name, "keepends").flag(0, "keepends", false)));
      case "partition" -> partition(text, a.check(name, "sep").requiredText(0, "sep"), false);
      case "rpartition" -> partition(text, a.check(name, "sep").requiredText(0, "sep"), true);
      case "startswith" -> hasAffix(text, name, a, true);
      case "endswith" -> hasAffix(text, name, a, false);
      case "removeprefix" -> {
        String prefix = a.check(name, "prefix").requiredText(0, "prefix");
        yield text.startsWith(prefix) ? text.substring(prefix.length()) : text;
      }
      case "removesuffix" -> {
        String suffix = a.check(name, "suffix").requiredText(0, "suffix");
        yield text.endsWith(suffix) && !suffix.isEmpty()
            ? text.substring(0, text.length() - suffix.length())
            : text;
      }
      case "replace" -> {
        a.check(name, "old", "new", "count");
        yield replace(
            text,
            a.requiredText(0, "old"),
            a.requiredText(1, "new"),
            a.integer(2, "count", -1),
            budget);
      }
      case "count" -> {
        String within = part(text, name, a);
        yield PythonText.count(within, a.requiredText(0, "sub"));
      }
      case "find", "index", "rfind", "rindex" -> find(text, name, a);
      case "join" -> join(text, a.check(name, "iterable").required(0, "iterable"), budget);
      case "format" -> BraceFormat.format(text, a, budget);
      case "center", "ljust", "rjust" -> pad(text, name, a, budget);
      case "zfill" ->
          zeroFilled(
              text,
              Values.expectInteger(a.check(name, "width").required(0, "width"), "width"),
              budget);
      default -> is(text, name, a);
    };
  }

  private static String none(String name, Arguments arguments, String text) {
    arguments.check(name);
    return text;
  }

  private static @Nullable String characters(String name, Arguments arguments) {
    Object characters = arguments.check(name, "chars").get(0, "chars", None.NONE);
    return characters == None.NONE ? null : Values.expectText(characters, "chars");
  }

  private static List<Object> split(String text, String name, Arguments a, boolean fromRight) {
    a.check(name, "sep", "maxsplit");
    long max = a.integer(1, "maxsplit", -1);
    Object separator = a.get(0, "sep", None.NONE);
    if (separator == None.NONE) {
      return PythonText.splitSpace(text, max, fromRight);
    }
    String at = Values.expectText(separator, "sep");
    if (at.isEmpty()) {
      throw new Failure("the separator of " + name + "() is empty");
    }
    return PythonText.split(text, at, max, fromRight);
  }

  private static Tuple partition(String text, String separator, boolean fromRight) {
    if (separator.isEmpty()) {
      throw new Failure("the separator of partition() is empty");
    }
    int at = fromRight ? text.lastIndexOf(separator) : text.indexOf(separator);
    if (at < 0) {
      return fromRight ? Tuple.of("", "", text) : Tuple.of(text, "", "");
    }
    return Tuple.of(text.substring(0, at), separator, text.substring(at + separator.length()));
  }

  /// The part of the text that the arguments `start` and `end` name.
  private static String part(String text, String name, Arguments a) {
    a.check(name, "sub", "start", "end");
    if (a.size() == 1) {
      return text;
    }
    int length = PythonText.length(text);
    long start = bound(a.integer(1, "start", 0), length);
    long end = Math.max(start, bound(a.integer(2, "end", length), length));
    int from = text.offsetByCodePoints(0, (int) start);
    return text.substring(from, text.offsetByCodePoints(from, (int) (end - start)));
  }

  private static long bound(long index, int length) {
    return Math.clamp(index < 0 ? index + length : index, 0, (long) length);
  }

  private static boolean hasAffix(String text, String name, Arguments a, boolean prefix) {
    String part = part(text, name, a);
    Object affix = Values.plain(a.required(0, "sub"));
    if (affix instanceof Tuple several) {
      for (Object one : several) {
        String s = Values.expectText(one, name);
        if (prefix ? part.startsWith(s) : part.endsWith(s)) {
          return true;
        }
      }
      return false;
    }
    String s = Values.expectText(affix, name);
    return prefix ? part.startsWith(s) : part.endsWith(s);
  }

  private static Object find(String text, String name, Arguments a) {
    String part = part(text, name, a);
    String sought = a.requiredText(0, "sub");
    int at = name.startsWith("r") ? part.lastIndexOf(sought) : part.indexOf(sought);
    if (at >= 0) {
      long start = bound(a.integer(1, "start", 0), PythonText.length(text));
      return start + part.codePointCount(0, at);
    }
    if (name.endsWith("index")) {
      throw new Failure("the substring was not found");
    }
    return -1L;
  }

  static String replace(String text, String old, String with, long count, Budget budget) {
    long found = PythonText.count(text, old);
    long replaced = count < 0 ? found : Math.min(count, found);
    long growth = Math.multiplyExact(replaced, (long) with.length() - old.length());
    budget.text(Math.addExact(growth, (long) text.length()));
    return PythonText.replace(text, old, with, count);
  }

  static String join(String separator, Object iterable, Budget budget) {
    var out = new StringBuilder();
    boolean first = true;
    Iterator<Object> elements = Values.iterate(iterable, budget);
    while (elements.hasNext()) {
      int before = out.length();
      out.append(first ? "" : separator);
      out.append(Values.expectText(elements.next(), "an element of join()"));
      first = false;
      budget.step();
      budget.grown(before, out.length());
    }
    return out.toString();
  }

  private static String pad(String text, String name, Arguments a, Budget budget) {
    a.check(name, "width", "fillchar");
    String fill = a.text(1, "fillchar", " ");
    long missing = Values.expectInteger(a.required(0, "width"), "width") - PythonText.length(text);
    if (PythonText.length(fill) != 1) {
      throw new Failure("the fill character of " + name + "() is not one character");
    }
    return switch (name) {
      case "ljust" -> padded(text, 0, missing, fill, budget);
      case "rjust" -> padded(text, missing, 0, fill, budget);
      default -> {
        long width = missing + PythonText.length(text);
        long left = missing / 2 + (missing & width & 1);
        yield padded(text, left, missing - left, fill, budget);
      }
    };
  }

  static String padded(String text, long left, long right, String fill, Budget budget) {
    long added = Math.max(left, 0) + Math.max(right, 0);
    budget.text(text.length() + 2 * Math.min(added, Budget.MAX_TEXT));
    return fill.repeat((int) Math.max(left, 0)) + text + fill.repeat((int) Math.max(right, 0));
  }

  private static String zeroFilled(String text, long width, Budget budget) {
    long missing = width - PythonText.length(text);
    boolean signed = text.startsWith("-") || text.startsWith("+");
    String zeros = padded("", missing, 0, "0", budget);
    return signed ? text.charAt(0) + zeros + text.substring(1) : zeros + text;
  }

  private static boolean is(String text, String name, Arguments arguments) {
    arguments.check(name);
    return switch (name) {
      case "isascii" -> text.chars().allMatch(c -> c < 128);
      case "isspace" -> all(text, PythonText::isSpace);
      case "isalpha" -> all(text, Character::isLetter);
      case "isdecimal" -> all(text, c -> Character.getType(c) == Character.DECIMAL_DIGIT_NUMBER);
      case "isdigit" -> all(text, TextMethods::isDigit);
      case "isnumeric" -> all(text, TextMethods::isNumeric);
      case "isalnum" -> all(text, c -> Character.isLetter(c) || isNumeric(c));
      case "islower" -> isCase(text, Character::isLowerCase);
      case "isupper" -> isCase(text, Character::isUpperCase);
      default ->
          text.equals(PythonText.title(text)) && text.codePoints().anyMatch(PythonText::isCased);
    };
  }

  private static boolean all(String text, IntPredicate predicate) {
    return !text.isEmpty() && text.codePoints().allMatch(predicate);
  }

  private static boolean isDigit(int c) {
    return Character.isDigit(c)
        || (c >= 0x2460 && c <= 0x2468)
        || (c >= 0x2070 && c <= 0x2089 && Character.getType(c) == Character.OTHER_NUMBER)
        || c == 0xb2
        || c == 0xb3
        || c == 0xb9;
  }

  private static boolean isNumeric(int c) {
    int type = Character.getType(c);
    return type == Character.DECIMAL_DIGIT_NUMBER
        || type == Character.LETTER_NUMBER
        || type == Character.OTHER_NUMBER;
  }

  private static boolean isCase(String text, IntPredicate wanted) {
    return text.codePoints().anyMatch(PythonText::isCased)
        && text.codePoints().filter(PythonText::isCased).allMatch(wanted);
  }
}
