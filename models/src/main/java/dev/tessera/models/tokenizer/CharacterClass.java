package dev.tessera.models.tokenizer;

/// The Unicode properties that pre-tokenizers ask about, one bit each, looked up in a table: a
/// pre-tokenizer asks several times per character.
final class CharacterClass {
  /// Lu and Lt.
  static final int UPPER = 1;

  /// Ll.
  static final int LOWER = 2;

  /// Lm and Lo.
  static final int CASELESS = 4;

  static final int MARK = 8;
  static final int NUMBER = 16;
  static final int PUNCTUATION = 32;
  static final int SYMBOL = 64;

  /// Unicode's `White_Space`, which is what `\s` means to the reference tokenizers.
  static final int SPACE = 128;

  static final int LETTER = UPPER | LOWER | CASELESS;

  private static final byte[] BASIC_PLANE = new byte[0x10000];

  static {
    for (int c = 0; c < BASIC_PLANE.length; c++) {
      BASIC_PLANE[c] = (byte) compute(c);
    }
  }

  private CharacterClass() {}

  static int of(int codePoint) {
    return codePoint < BASIC_PLANE.length ? BASIC_PLANE[codePoint] & 0xFF : compute(codePoint);
  }

  /// The class of the character at `index`, or 0 where the piece ends.
  static int at(String text, int index, int to) {
    if (index >= to) {
      return 0;
    }
    char c = text.charAt(index);
    return Character.isHighSurrogate(c) ? of(text.codePointAt(index)) : BASIC_PLANE[c] & 0xFF;
  }

  /// The index behind the character at `index`. The text is well-formed UTF-16.
  static int next(String text, int index) {
    return Character.isHighSurrogate(text.charAt(index)) ? index + 2 : index + 1;
  }

  /// The end of the run, from `index`, of characters in any of `classes`.
  static int run(String text, int index, int to, int classes) {
    while ((at(text, index, to) & classes) != 0) {
      index = next(text, index);
    }
    return index;
  }

  static boolean isSpace(int codePoint) {
    return (of(codePoint) & SPACE) != 0;
  }

  private static int compute(int codePoint) {
    return switch (Character.getType(codePoint)) {
      case Character.UPPERCASE_LETTER, Character.TITLECASE_LETTER -> UPPER;
      case Character.LOWERCASE_LETTER -> LOWER;
      case Character.MODIFIER_LETTER, Character.OTHER_LETTER -> CASELESS;
      case Character.NON_SPACING_MARK, Character.COMBINING_SPACING_MARK, Character.ENCLOSING_MARK ->
          MARK;
      case Character.DECIMAL_DIGIT_NUMBER, Character.LETTER_NUMBER, Character.OTHER_NUMBER ->
          NUMBER;
      case Character.DASH_PUNCTUATION,
          Character.START_PUNCTUATION,
          Character.END_PUNCTUATION,
          Character.CONNECTOR_PUNCTUATION,
          Character.OTHER_PUNCTUATION,
          Character.INITIAL_QUOTE_PUNCTUATION,
          Character.FINAL_QUOTE_PUNCTUATION ->
          PUNCTUATION;
      case Character.MATH_SYMBOL,
          Character.CURRENCY_SYMBOL,
          Character.MODIFIER_SYMBOL,
          Character.OTHER_SYMBOL ->
          SYMBOL;
      case Character.SPACE_SEPARATOR, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR ->
          SPACE;
      default -> (codePoint >= '\t' && codePoint <= '\r') || codePoint == 0x85 ? SPACE : 0;
    };
  }
}
