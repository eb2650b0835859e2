package dev.tessera.models.template;

import java.math.BigDecimal;
import java.math.RoundingMode;
import org.jspecify.annotations.Nullable;

/// Numbers out of texts, and rounding, as Python does them.
final class Numbers {
  private Numbers() {}

  /// `int(text, base)`, or null.
  static @Nullable Long integer(String text, int base) {
    String digits = PythonText.strip(text, null, true, true).replace("_", "");
    String sign = "";
    if (digits.startsWith("-") || digits.startsWith("+")) {
      sign = digits.startsWith("-") ? "-" : "";
      digits = digits.substring(1);
    }
    if (digits.startsWith("-") || digits.startsWith("+")) {
      return null;
    }
    if (digits.length() > 2 && digits.charAt(0) == '0') {
      int prefixed =
          switch (digits.charAt(1) | 0x20) {
            case 'x' -> 16;
            case 'o' -> 8;
            case 'b' -> 2;
            default -> 0;
          };
      if (prefixed != 0 && (base == prefixed || base == 0)) {
        digits = digits.substring(2);
        base = prefixed;
      }
    }
    if (base < 2 || base > 36) {
      return null;
    }
    try {
      return Long.parseLong(sign + digits, base);
    } catch (NumberFormatException e) {
      return null;
    }
  }

  /// `float(text)`, or null. Java's reader takes more than Python's: suffixes and hexadecimals.
  static @Nullable Double decimal(String text) {
    String trimmed = PythonText.lower(PythonText.strip(text, null, true, true)).replace("_", "");
    String unsigned =
        trimmed.startsWith("-") || trimmed.startsWith("+") ? trimmed.substring(1) : trimmed;
    double sign = trimmed.startsWith("-") ? -1 : 1;
    switch (unsigned) {
      case "inf", "infinity" -> {
        return sign * Double.POSITIVE_INFINITY;
      }
      case "nan" -> {
        return Double.NaN;
      }
      default -> {}
    }
    boolean plain =
        !unsigned.isEmpty()
            && unsigned.length() < 400
            && unsigned.chars().allMatch(c -> (c >= '0' && c <= '9') || ".e+-".indexOf(c) >= 0);
    if (!plain) {
      return null;
    }
    try {
      return sign * Double.parseDouble(unsigned);
    } catch (NumberFormatException e) {
      return null;
    }
  }

  /// The filter `round`: always a float, halves to even.
  static Object round(Object value, int places, String method) {
    if (value instanceof Undefined undefined) {
      throw undefined.failure();
    }
    double number = Values.toDouble(value);
    if (Double.isNaN(number) || Double.isInfinite(number)) {
      return number;
    }
    return switch (method) {
      case "common" -> {
        double rounded =
            new BigDecimal(number).setScale(places, RoundingMode.HALF_EVEN).doubleValue();
        yield value instanceof Double ? (Object) rounded : (Object) (long) rounded;
      }
      case "ceil" -> Math.ceil(number * Math.pow(10, places)) / Math.pow(10, places);
      case "floor" -> Math.floor(number * Math.pow(10, places)) / Math.pow(10, places);
      default ->
          throw new Failure("round() knows 'common', 'ceil' and 'floor', not '" + method + "'");
    };
  }
}
