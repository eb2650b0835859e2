package dev.tessera.models;

/// Text from a model file or the network, made safe to print: one line, no control or direction
/// marks, bounded. A name with a line break in it must not forge a line of the log.
public final class OneLine {
  private static final int LIMIT = 400;

  private OneLine() {}

  /// The text with everything that could leave its line escaped, cut at 400 characters.
  public static String of(String text) {
    var line = new StringBuilder(Math.min(text.length(), LIMIT) + 8);
    for (int i = 0; i < text.length(); ) {
      if (line.length() >= LIMIT) {
        return line.append('…').toString();
      }
      int character = text.codePointAt(i);
      i += Character.charCount(character);
      if (isHarmless(character)) {
        line.appendCodePoint(character);
      } else {
        line.append("\\u{").append(Integer.toHexString(character)).append('}');
      }
    }
    return line.toString();
  }

  private static boolean isHarmless(int character) {
    return switch (Character.getType(character)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR,
          Character.SURROGATE,
          Character.PRIVATE_USE,
          Character.UNASSIGNED ->
          false;
      default -> true;
    };
  }
}
