package dev.tessera.models.template;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// Text as Python sees it: positions count code points, white space is Unicode's, numbers print as
/// `repr` prints them.
final class PythonText {
  private PythonText() {}

  static boolean isSpace(int c) {
    if (c <= ' ') {
      return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
    }
    return c == 0x85 || (c >= 0xa0 && Character.isSpaceChar(c));
  }

  static boolean hasSurrogates(String text) {
    for (int i = 0; i < text.length(); i++) {
      if (Character.isSurrogate(text.charAt(i))) {
        return true;
      }
    }
    return false;
  }

  static int length(String text) {
    return text.codePointCount(0, text.length());
  }

  /// The code points of a text, each as a text.
  static List<Object> characters(String text) {
    List<Object> characters = new ArrayList<>(text.length());
    for (int i = 0; i < text.length(); ) {
      int end = text.offsetByCodePoints(i, 1);
      characters.add(text.substring(i, end));
      i = end;
    }
    return characters;
  }

  /// Strips white space, or any of `characters`.
  static String strip(String text, @Nullable String characters, boolean left, boolean right) {
    int from = 0;
    int to = text.length();
    while (left && from < to && strips(text.codePointAt(from), characters)) {
      from += Character.charCount(text.codePointAt(from));
    }
    while (right && to > from && strips(text.codePointBefore(to), characters)) {
      to -= Character.charCount(text.codePointBefore(to));
    }
    return text.substring(from, to);
  }

  private static boolean strips(int c, @Nullable String characters) {
    return characters == null ? isSpace(c) : characters.indexOf(c) >= 0;
  }

  private static void add(List<Object> parts, String part) {
    if (parts.size() == Budget.MAX_ITEMS) {
      throw new Failure("a text splits into more than " + Budget.MAX_ITEMS + " parts");
    }
    parts.add(part);
  }

  /// Splits at runs of white space, at most `max` times (-1: always).
  static List<Object> splitSpace(String text, long max, boolean fromRight) {
    List<Object> parts = new ArrayList<>();
    if (fromRight) {
      int to = text.length();
      while (true) {
        String rest = strip(text.substring(0, to), null, false, true);
        if (rest.isEmpty()) {
          return parts.reversed();
        }
        if (parts.size() == max) {
          add(parts, rest);
          return parts.reversed();
        }
        int from = rest.length();
        while (from > 0 && !isSpace(rest.charAt(from - 1))) {
          from--;
        }
        add(parts, rest.substring(from));
        to = from;
      }
    }
    int at = 0;
    while (true) {
      while (at < text.length() && isSpace(text.charAt(at))) {
        at++;
      }
      if (at == text.length()) {
        return parts;
      }
      if (parts.size() == max) {
        add(parts, text.substring(at));
        return parts;
      }
      int start = at;
      while (at < text.length() && !isSpace(text.charAt(at))) {
        at++;
      }
      add(parts, text.substring(start, at));
    }
  }

  /// Splits at a separator that is not empty, at most `max` times (-1: always).
  static List<Object> split(String text, String separator, long max, boolean fromRight) {
    List<Object> parts = new ArrayList<>();
    if (fromRight) {
      int to = text.length();
      while (parts.size() != max) {
        int at =
            to < separator.length() ? -1 : text.lastIndexOf(separator, to - separator.length());
        if (at < 0) {
          break;
        }
        add(parts, text.substring(at + separator.length(), to));
        to = at;
      }
      add(parts, text.substring(0, to));
      return parts.reversed();
    }
    int from = 0;
    while (parts.size() != max) {
      int at = text.indexOf(separator, from);
      if (at < 0) {
        break;
      }
      add(parts, text.substring(from, at));
      from = at + separator.length();
    }
    add(parts, text.substring(from));
    return parts;
  }

  static List<String> lines(String text, boolean keepEnds) {
    List<String> lines = new ArrayList<>();
    int start = 0;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      boolean ends =
          (c >= '\n' && c <= '\r')
              || (c >= 0x1c && c <= 0x1e)
              || c == 0x85
              || c == 0x2028
              || c == 0x2029;
      if (ends) {
        if (lines.size() == Budget.MAX_ITEMS) {
          throw new Failure("a text has more than " + Budget.MAX_ITEMS + " lines");
        }
        int next = c == '\r' && i + 1 < text.length() && text.charAt(i + 1) == '\n' ? i + 2 : i + 1;
        lines.add(text.substring(start, keepEnds ? next : i));
        start = next;
        i = next - 1;
      }
    }
    if (start < text.length()) {
      lines.add(text.substring(start));
    }
    return lines;
  }

  /// `str.replace`: an empty `old` is found between all characters.
  static String replace(String text, String old, String with, long count) {
    if (count == 0) {
      return text;
    }
    var out = new StringBuilder();
    if (old.isEmpty()) {
      long left = count;
      for (int i = 0; i < text.length(); ) {
        if (left-- != 0) {
          out.append(with);
        } else {
          left = 0;
        }
        int end = text.offsetByCodePoints(i, 1);
        out.append(text, i, end);
        i = end;
      }
      return left != 0 ? out.append(with).toString() : out.toString();
    }
    int from = 0;
    for (long left = count; left != 0; left--) {
      int at = text.indexOf(old, from);
      if (at < 0) {
        break;
      }
      out.append(text, from, at).append(with);
      from = at + old.length();
    }
    return out.append(text, from, text.length()).toString();
  }

  static long count(String text, String part) {
    if (part.isEmpty()) {
      return length(text) + 1L;
    }
    long count = 0;
    for (int at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length())) {
      count++;
    }
    return count;
  }

  static String upper(String text) {
    return text.toUpperCase(Locale.ROOT);
  }

  static String lower(String text) {
    return text.toLowerCase(Locale.ROOT);
  }

  static String capitalize(String text) {
    if (text.isEmpty()) {
      return text;
    }
    int end = text.offsetByCodePoints(0, 1);
    return titleCase(text.codePointAt(0)) + lower(text.substring(end));
  }

  /// `str.title`: a letter after a letter is lower case, any other is title case.
  static String title(String text) {
    var out = new StringBuilder();
    boolean inWord = false;
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      out.append(inWord ? lower(Character.toString(c)) : titleCase(c));
      inWord = isCased(c);
      i += Character.charCount(c);
    }
    return out.toString();
  }

  static String swapCase(String text) {
    var out = new StringBuilder();
    text.codePoints()
        .forEach(
            c -> {
              String one = Character.toString(c);
              out.append(
                  Character.isUpperCase(c)
                      ? lower(one)
                      : Character.isLowerCase(c) ? upper(one) : one);
            });
    return out.toString();
  }

  private static String titleCase(int c) {
    int title = Character.toTitleCase(c);
    return title == c ? upper(Character.toString(c)) : Character.toString(title);
  }

  static boolean isCased(int c) {
    return Character.isUpperCase(c) || Character.isLowerCase(c) || Character.isTitleCase(c);
  }

  /// `repr` of a text.
  static String repr(String text) {
    var out = new StringBuilder(text.length() + 2);
    char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
    out.append(quote);
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      i += Character.charCount(c);
      switch (c) {
        case '\\' -> out.append("\\\\");
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        default -> {
          if (c == quote) {
            out.append('\\').append(quote);
          } else if (isPrintable(c)) {
            out.appendCodePoint(c);
          } else if (c < 0x100) {
            out.append(String.format("\\x%02x", c));
          } else if (c < 0x10000) {
            out.append(String.format("\\u%04x", c));
          } else {
            out.append(String.format("\\U%08x", c));
          }
        }
      }
    }
    return out.append(quote).toString();
  }

  static boolean isPrintable(int c) {
    if (c < 0x7f) {
      return c >= ' ';
    }
    return switch (Character.getType(c)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.PRIVATE_USE,
          Character.UNASSIGNED,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR,
          Character.SPACE_SEPARATOR ->
          false;
      default -> true;
    };
  }

  /// `repr` of a float: the shortest digits that read back as the same number, with an exponent
  /// below 1e-4 and from 1e16.
  static String repr(double value) {
    if (Double.isNaN(value)) {
      return "nan";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "inf" : "-inf";
    }
    if (value == 0) {
      return 1 / value < 0 ? "-0.0" : "0.0";
    }
    var decimal = new BigDecimal(Double.toString(Math.abs(value))).stripTrailingZeros();
    String digits = decimal.unscaledValue().toString();
    int exponent = digits.length() - 1 - decimal.scale();
    var out = new StringBuilder();
    if (value < 0) {
      out.append('-');
    }
    if (exponent >= -4 && exponent < 16) {
      String plain = decimal.toPlainString();
      out.append(plain);
      return plain.indexOf('.') < 0 ? out.append(".0").toString() : out.toString();
    }
    out.append(digits.charAt(0));
    if (digits.length() > 1) {
      out.append('.').append(digits, 1, digits.length());
    }
    out.append('e').append(exponent < 0 ? '-' : '+');
    int magnitude = Math.abs(exponent);
    return out.append(magnitude < 10 ? "0" : "").append(magnitude).toString();
  }
}
