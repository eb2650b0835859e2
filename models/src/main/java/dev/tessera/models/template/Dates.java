package dev.tessera.models.template;

import java.time.ZonedDateTime;
import java.time.format.TextStyle;
import java.time.temporal.IsoFields;
import java.util.Locale;

/// `strftime` in the C locale.
final class Dates {
  private static final int MAX_FORMAT = 1000;

  private Dates() {}

  static String format(String format, ZonedDateTime now) {
    if (format.length() > MAX_FORMAT) {
      throw new Failure("the format of a time is longer than " + MAX_FORMAT + " characters");
    }
    var out = new StringBuilder();
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      if (c != '%' || i + 1 == format.length()) {
        out.append(c);
        continue;
      }
      char directive = format.charAt(++i);
      boolean unpadded = directive == '-' && i + 1 < format.length();
      if (unpadded) {
        directive = format.charAt(++i);
      }
      String text = directive(directive, now);
      out.append(unpadded ? withoutPadding(text) : text);
    }
    return out.toString();
  }

  private static String withoutPadding(String text) {
    int at = 0;
    while (at < text.length() - 1 && (text.charAt(at) == '0' || text.charAt(at) == ' ')) {
      at++;
    }
    return text.substring(at);
  }

  private static String directive(char directive, ZonedDateTime now) {
    int hour = now.getHour();
    int halfDay = hour % 12 == 0 ? 12 : hour % 12;
    return switch (directive) {
      case 'Y' -> Integer.toString(now.getYear());
      case 'y' -> padded(now.getYear() % 100, 2, '0');
      case 'm' -> padded(now.getMonthValue(), 2, '0');
      case 'd' -> padded(now.getDayOfMonth(), 2, '0');
      case 'e' -> padded(now.getDayOfMonth(), 2, ' ');
      case 'B' -> now.getMonth().getDisplayName(TextStyle.FULL, Locale.ENGLISH);
      case 'b', 'h' -> now.getMonth().getDisplayName(TextStyle.SHORT, Locale.US).substring(0, 3);
      case 'A' -> now.getDayOfWeek().getDisplayName(TextStyle.FULL, Locale.ENGLISH);
      case 'a' -> now.getDayOfWeek().getDisplayName(TextStyle.SHORT, Locale.US).substring(0, 3);
      case 'H' -> padded(hour, 2, '0');
      case 'I' -> padded(halfDay, 2, '0');
      case 'M' -> padded(now.getMinute(), 2, '0');
      case 'S' -> padded(now.getSecond(), 2, '0');
      case 'f' -> padded(now.getNano() / 1000, 6, '0');
      case 'p' -> hour < 12 ? "AM" : "PM";
      case 'j' -> padded(now.getDayOfYear(), 3, '0');
      case 'u' -> Integer.toString(now.getDayOfWeek().getValue());
      case 'w' -> Integer.toString(now.getDayOfWeek().getValue() % 7);
      case 'G' -> Integer.toString(now.get(IsoFields.WEEK_BASED_YEAR));
      case 'V' -> padded(now.get(IsoFields.WEEK_OF_WEEK_BASED_YEAR), 2, '0');
      case 's' -> Long.toString(now.toEpochSecond());
      case 'F' -> format("%Y-%m-%d", now);
      case 'T', 'X' -> format("%H:%M:%S", now);
      case 'R' -> format("%H:%M", now);
      case 'D', 'x' -> format("%m/%d/%y", now);
      case 'c' -> format("%a %b %e %H:%M:%S %Y", now);
      case 'n' -> "\n";
      case 't' -> "\t";
      case '%' -> "%";
      // The time of a Python `datetime` without a zone: its zone prints as nothing.
      case 'z', 'Z' -> "";
      default -> "%" + directive;
    };
  }

  private static String padded(int number, int width, char fill) {
    String digits = Integer.toString(number);
    return String.valueOf(fill).repeat(Math.max(0, width - digits.length())) + digits;
  }
}
