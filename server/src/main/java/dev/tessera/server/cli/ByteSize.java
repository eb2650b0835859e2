package dev.tessera.server.cli;

import java.util.Locale;

/// Amounts of memory as people write them: `512M`, `8G`, `1.5GiB`, or plain bytes.
final class ByteSize {
  private static final String UNITS = "KMGT";

  private ByteSize() {}

  /// @throws IllegalArgumentException for anything else
  static long parse(String text) {
    String rest = text.strip().toUpperCase(Locale.ROOT);
    if (rest.endsWith("IB")) {
      rest = rest.substring(0, rest.length() - 2);
    } else if (rest.endsWith("B")) {
      rest = rest.substring(0, rest.length() - 1);
    }
    long unit = 1;
    int power = rest.isEmpty() ? -1 : UNITS.indexOf(rest.charAt(rest.length() - 1));
    if (power >= 0) {
      unit = 1L << (10 * (power + 1));
      rest = rest.substring(0, rest.length() - 1);
    }
    double number;
    try {
      number = Double.parseDouble(rest.strip());
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException("must be a size such as 512M or 8G", e);
    }
    double bytes = number * unit;
    if (!(bytes >= 0 && bytes <= 1L << 50)) {
      throw new IllegalArgumentException("must be from 0 to 1024T");
    }
    return (long) bytes;
  }

  static String format(long bytes) {
    if (bytes < 1024) {
      return bytes + " B";
    }
    int power = (63 - Long.numberOfLeadingZeros(bytes)) / 10;
    return String.format(
        Locale.ROOT,
        "%.1f %siB",
        bytes / (double) (1L << (10 * power)),
        "KMGTPE".charAt(power - 1));
  }
}
