package dev.tessera.models.template;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.Locale;

/// Python's format mini-language: `[[fill]align][sign][#][0][width][,][.precision][type]`.
final class FormatSpec {
  static final int MAX_WIDTH = 1000;

  String fill = " ";

  /// `<`, `>`, `^`, `=`, or 0 for the type's own.
  char align;

  char sign = '-';
  boolean alternate;
  boolean zero;
  int width = -1;
  char grouping;
  int precision = -1;
  char type;

  static FormatSpec parse(String text) {
    var spec = new FormatSpec();
    int pos = 0;
    int second = text.isEmpty() ? 0 : text.offsetByCodePoints(0, 1);
    if (second < text.length() && "<>^=".indexOf(text.charAt(second)) >= 0) {
      spec.fill = text.substring(0, second);
      spec.align = text.charAt(second);
      pos = second + 1;
    } else if (!text.isEmpty() && "<>^=".indexOf(text.charAt(0)) >= 0) {
      spec.align = text.charAt(0);
      pos = 1;
    }
    if (pos < text.length() && "+- ".indexOf(text.charAt(pos)) >= 0) {
      spec.sign = text.charAt(pos++);
    }
    if (pos < text.length() && text.charAt(pos) == '#') {
      spec.alternate = true;
      pos++;
    }
    if (pos < text.length() && text.charAt(pos) == '0') {
      spec.zero = true;
      pos++;
    }
    int end = digits(text, pos);
    if (end > pos) {
      spec.width = number(text, pos, end);
      pos = end;
    }
    if (pos < text.length() && ",_".indexOf(text.charAt(pos)) >= 0) {
      spec.grouping = text.charAt(pos++);
    }
    if (pos < text.length() && text.charAt(pos) == '.') {
      end = digits(text, pos + 1);
      spec.precision = number(text, pos + 1, end);
      pos = end;
    }
    if (pos < text.length()) {
      spec.type = text.charAt(pos++);
    }
    if (pos < text.length()) {
      throw new Failure("the format '" + text + "' is not valid");
    }
    return spec;
  }

  private static int digits(String text, int from) {
    int end = from;
    while (end < text.length() && text.charAt(end) >= '0' && text.charAt(end) <= '9') {
      end++;
    }
    return end;
  }

  private static int number(String text, int from, int to) {
    if (to == from || to - from > 4) {
      throw new Failure("a width in a format must be at most " + MAX_WIDTH);
    }
    int number = Integer.parseInt(text.substring(from, to));
    if (number > MAX_WIDTH) {
      throw new Failure("a width in a format must be at most " + MAX_WIDTH);
    }
    return number;
  }

  /// Formats any value.
  String format(Object value, Budget budget) {
    if (Values.isNumber(value) && type != 's') {
      return number(value, budget);
    }
    if (type != 0 && type != 's') {
      throw new Failure(
          "the format '" + type + "' is not defined for a value of type " + Values.type(value));
    }
    return text(Printer.str(value, budget), budget);
  }

  String text(String text, Budget budget) {
    String cut = text;
    if (precision >= 0 && precision < PythonText.length(text)) {
      cut = text.substring(0, text.offsetByCodePoints(0, precision));
    }
    return padded("", cut, align == 0 ? '<' : align, budget);
  }

  String number(Object value, Budget budget) {
    if (type == 'c') {
      long character = Values.expectInteger(value, "%c");
      if (character < 0 || character > Character.MAX_CODE_POINT) {
        throw new Failure(character + " is not a character");
      }
      return text(Character.toString((int) character), budget);
    }
    boolean negative;
    String digits;
    if (value instanceof Double || "eEfFgG%".indexOf(type) >= 0 && type != 0) {
      double number = Values.toDouble(value);
      negative = number < 0 || (number == 0 && 1 / number < 0);
      digits = grouped(floating(Math.abs(number)));
    } else if (value instanceof Boolean && type == 0) {
      return text(Printer.str(value, budget), budget);
    } else {
      BigInteger integer = Values.toBig(value);
      negative = integer.signum() < 0;
      digits = grouped(integer(integer.abs()));
    }
    String prefix = negative ? "-" : sign == '-' ? "" : String.valueOf(sign);
    if (alternate && "xXob".indexOf(type) >= 0) {
      prefix += "0" + type;
    }
    if (zero && align == 0) {
      fill = "0";
      align = '=';
    }
    return padded(prefix, digits, align == 0 ? '>' : align, budget);
  }

  private String integer(BigInteger value) {
    return switch (type) {
      case 0, 'd', 'n' -> value.toString();
      case 'x' -> value.toString(16);
      case 'X' -> value.toString(16).toUpperCase(Locale.ROOT);
      case 'o' -> value.toString(8);
      case 'b' -> value.toString(2);
      default -> throw new Failure("the format '" + type + "' is not defined for an integer");
    };
  }

  private String floating(double value) {
    if (Double.isNaN(value) || Double.isInfinite(value)) {
      String text = PythonText.repr(value);
      return Character.isUpperCase(type) ? text.toUpperCase(Locale.ROOT) : text;
    }
    int places = precision < 0 ? 6 : precision;
    return switch (type) {
      case 'f', 'F' ->
          new BigDecimal(value).setScale(places, RoundingMode.HALF_EVEN).toPlainString();
      case '%' ->
          new BigDecimal(value * 100).setScale(places, RoundingMode.HALF_EVEN).toPlainString()
              + '%';
      case 'e' -> exponential(value, places);
      case 'E' -> exponential(value, places).toUpperCase(Locale.ROOT);
      case 'g' -> general(value, Math.max(places, 1));
      case 'G' -> general(value, Math.max(places, 1)).toUpperCase(Locale.ROOT);
      case 0 -> precision < 0 ? PythonText.repr(value) : general(value, Math.max(places, 1));
      default -> throw new Failure("the format '" + type + "' is not defined for a float");
    };
  }

  private static String exponential(double value, int places) {
    var decimal = new BigDecimal(value).round(new MathContext(places + 1, RoundingMode.HALF_EVEN));
    String digits = decimal.unscaledValue().toString();
    int exponent = value == 0 ? 0 : digits.length() - 1 - decimal.scale();
    digits =
        value == 0
            ? "0".repeat(places + 1)
            : digits + "0".repeat(Math.max(0, places + 1 - digits.length()));
    String mantissa =
        places == 0
            ? digits.substring(0, 1)
            : digits.charAt(0) + "." + digits.substring(1, places + 1);
    return mantissa
        + 'e'
        + (exponent < 0 ? '-' : '+')
        + (Math.abs(exponent) < 10 ? "0" : "")
        + Math.abs(exponent);
  }

  private static String general(double value, int digits) {
    if (value == 0) {
      return "0";
    }
    var decimal = new BigDecimal(value).round(new MathContext(digits, RoundingMode.HALF_EVEN));
    int exponent = decimal.precision() - 1 - decimal.scale();
    if (exponent >= -4 && exponent < digits) {
      return decimal.stripTrailingZeros().toPlainString();
    }
    String unscaled = decimal.stripTrailingZeros().unscaledValue().toString();
    String mantissa =
        unscaled.length() == 1 ? unscaled : unscaled.charAt(0) + "." + unscaled.substring(1);
    return mantissa
        + 'e'
        + (exponent < 0 ? '-' : '+')
        + (Math.abs(exponent) < 10 ? "0" : "")
        + Math.abs(exponent);
  }

  private String grouped(String digits) {
    if (grouping == 0) {
      return digits;
    }
    int end = digits(digits, 0);
    var out = new StringBuilder(digits);
    for (int at = end - 3; at > 0; at -= 3) {
      out.insert(at, grouping);
    }
    return out.toString();
  }

  private String padded(String prefix, String body, char alignment, Budget budget) {
    long missing = width - (long) prefix.length() - PythonText.length(body);
    if (missing <= 0) {
      return prefix + body;
    }
    return switch (alignment) {
      case '<' -> TextMethods.padded(prefix + body, 0, missing, fill, budget);
      case '^' ->
          TextMethods.padded(prefix + body, missing / 2, missing - missing / 2, fill, budget);
      case '=' -> prefix + TextMethods.padded(body, missing, 0, fill, budget);
      default -> TextMethods.padded(prefix + body, missing, 0, fill, budget);
    };
  }
}
