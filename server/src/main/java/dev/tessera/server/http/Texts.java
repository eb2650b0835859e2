package dev.tessera.server.http;

/// Small scans of text that came from outside.
public final class Texts {
  private Texts() {}

  /// Index of the first surrogate without its partner, or -1.
  static int loneSurrogate(String text) {
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (Character.isHighSurrogate(c)) {
        if (i + 1 == text.length() || !Character.isLowSurrogate(text.charAt(i + 1))) {
          return i;
        }
        i++;
      } else if (Character.isLowSurrogate(c)) {
        return i;
      }
    }
    return -1;
  }

  /// The text with everything that could disturb a log or a terminal replaced: controls, line and
  /// paragraph separators, and marks that change the direction of writing.
  public static String printable(String text) {
    StringBuilder clean = new StringBuilder(text.length());
    text.codePoints()
        .forEach(
            c -> {
              int type = Character.getType(c);
              boolean unsafe =
                  type == Character.CONTROL
                      || type == Character.FORMAT
                      || type == Character.LINE_SEPARATOR
                      || type == Character.PARAGRAPH_SEPARATOR
                      || type == Character.SURROGATE;
              if (unsafe) {
                clean.append("\\u").append(String.format("%04x", c));
              } else {
                clean.appendCodePoint(c);
              }
            });
    return clean.toString();
  }

  /// At most `limit` characters, the last of them an ellipsis where something was left out.
  static String shortened(String text, int limit) {
    if (text.length() <= limit) {
      return text;
    }
    int end = limit - 1;
    if (Character.isHighSurrogate(text.charAt(end - 1))) {
      end--;
    }
    return text.substring(0, end) + "…";
  }
}
