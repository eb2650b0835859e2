package dev.tessera.models.tokenizer;

import static dev.tessera.models.tokenizer.CharacterClass.LETTER;
import static dev.tessera.models.tokenizer.CharacterClass.MARK;
import static dev.tessera.models.tokenizer.CharacterClass.NUMBER;
import static dev.tessera.models.tokenizer.CharacterClass.PUNCTUATION;
import static dev.tessera.models.tokenizer.CharacterClass.SPACE;
import static dev.tessera.models.tokenizer.CharacterClass.SYMBOL;
import static dev.tessera.models.tokenizer.CharacterClass.at;
import static dev.tessera.models.tokenizer.CharacterClass.next;
import static dev.tessera.models.tokenizer.CharacterClass.run;

import java.util.function.IntPredicate;

/// The parts of which the families' patterns are made, and the plain patterns themselves.
final class Scanners {
  private Scanners() {}

  /// Two or three characters of an English contraction (`'s 't 're 've 'm 'll 'd`), or 0. Where
  /// case is ignored, the long s folds to s as it does in the reference.
  static int contraction(String text, int index, int to, boolean ignoreCase) {
    if (index + 1 >= to || text.charAt(index) != '\'') {
      return 0;
    }
    switch (fold(text.charAt(index + 1), ignoreCase)) {
      case 's', 't', 'm', 'd':
        return 2;
      case 'r', 'v':
        return index + 2 < to && fold(text.charAt(index + 2), ignoreCase) == 'e' ? 3 : 0;
      case 'l':
        return index + 2 < to && fold(text.charAt(index + 2), ignoreCase) == 'l' ? 3 : 0;
      default:
        return 0;
    }
  }

  private static char fold(char c, boolean ignoreCase) {
    if (ignoreCase && c >= 'A' && c <= 'Z') {
      return (char) (c + 32);
    }
    return ignoreCase && c == '\u017F' ? 's' : c;
  }

  static boolean isNewline(String text, int index, int to) {
    return index < to && (text.charAt(index) == '\n' || text.charAt(index) == '\r');
  }

  /// ` ?[^\s\p{L}\p{N}…]+` and then any of `tail`: the end, or `from` where it does not match.
  static int symbols(String text, int from, int to, int notClasses, String tail) {
    int start = from < to && text.charAt(from) == ' ' ? from + 1 : from;
    int end = runOutside(text, start, to, notClasses);
    if (end == start) {
      return from;
    }
    while (end < to && tail.indexOf(text.charAt(end)) >= 0) {
      end++;
    }
    return end;
  }

  private static int runOutside(String text, int index, int to, int classes) {
    while (index < to && (at(text, index, to) & classes) == 0) {
      index = next(text, index);
    }
    return index;
  }

  /// `\s*[\r\n]+|\s+(?!\S)|\s+`: the end, or `from` where no space starts.
  static int spacesOrNewlines(String text, int from, int to) {
    int end = from;
    int behindNewline = from;
    while ((at(text, end, to) & SPACE) != 0) {
      if (isNewline(text, end, to)) {
        behindNewline = end + 1;
      }
      end++;
    }
    return behindNewline > from ? behindNewline : withoutLastSpace(from, end, to);
  }

  /// `\s+(?!\S)|\s+`: a run of spaces leaves its last one to the word behind it.
  static int spaces(String text, int from, int to) {
    return withoutLastSpace(from, run(text, from, to, SPACE), to);
  }

  private static int withoutLastSpace(int from, int end, int to) {
    return end < to && end - from > 1 ? end - 1 : end;
  }

  /// GPT-2: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
  static int gpt2(String text, int from, int to) {
    int contraction = contraction(text, from, to, false);
    if (contraction > 0) {
      return from + contraction;
    }
    int start = text.charAt(from) == ' ' ? from + 1 : from;
    int type = at(text, start, to);
    if ((type & LETTER) != 0) {
      return run(text, start, to, LETTER);
    }
    if ((type & NUMBER) != 0) {
      return run(text, start, to, NUMBER);
    }
    int end = symbols(text, from, to, SPACE | LETTER | NUMBER, "");
    return end > from ? end : spaces(text, from, to);
  }

  /// Every match of `\p{N}{1,max}` is a piece.
  static Splitter numbers(int max) {
    return (text, from, to) -> {
      int end = from;
      for (int n = 0; n < max && (at(text, end, to) & NUMBER) != 0; n++) {
        end = next(text, end);
      }
      return end > from ? end : runOutside(text, from, to, NUMBER);
    };
  }

  /// Every run of characters of the set is a piece.
  static Splitter runs(IntPredicate set) {
    return (text, from, to) -> {
      boolean inside = set.test(text.codePointAt(from));
      int end = next(text, from);
      while (end < to && set.test(text.codePointAt(end)) == inside) {
        end = next(text, end);
      }
      return end;
    };
  }

  /// Every character of the set is a piece.
  static Splitter single(IntPredicate set) {
    return (text, from, to) -> {
      int end = next(text, from);
      if (set.test(text.codePointAt(from))) {
        return end;
      }
      while (end < to && !set.test(text.codePointAt(end))) {
        end = next(text, end);
      }
      return end;
    };
  }

  /// Every match of `\s?[set]+` is a piece.
  static Splitter spacedRuns(IntPredicate set) {
    return (text, from, to) -> {
      for (int index = from; index < to; ) {
        boolean spaced = (at(text, index, to) & SPACE) != 0;
        int start = spaced ? next(text, index) : index;
        if (start < to && set.test(text.codePointAt(start))) {
          return index > from ? index : endOfRun(text, start, to, set);
        }
        // A space may itself be in the set: ideographic punctuation ranges start with one.
        if (spaced && set.test(text.codePointAt(index))) {
          return index > from ? index : endOfRun(text, index, to, set);
        }
        index = next(text, index);
      }
      return to;
    };
  }

  private static int endOfRun(String text, int index, int to, IntPredicate set) {
    while (index < to && set.test(text.codePointAt(index))) {
      index = next(text, index);
    }
    return index;
  }

  /// `\s+$`: the spaces at the end are a piece of their own.
  static int trailingSpaces(String text, int from, int to) {
    int start = to;
    while (start > from && (at(text, start - 1, to) & SPACE) != 0) {
      start--;
    }
    return start == from ? to : start;
  }

  /// Three ASCII digits are a piece.
  static int digitTriples(String text, int from, int to) {
    for (int index = from; index < to; index++) {
      int digits = 0;
      while (digits < 3 && index + digits < to && isDigit(text.charAt(index + digits))) {
        digits++;
      }
      if (digits == 3) {
        return index > from ? index : from + 3;
      }
    }
    return to;
  }

  private static boolean isDigit(char c) {
    return c >= '0' && c <= '9';
  }

  /// `[^\n]+|[\n]+`.
  static int lines(String text, int from, int to) {
    boolean newline = text.charAt(from) == '\n';
    int end = from + 1;
    while (end < to && (text.charAt(end) == '\n') == newline) {
      end++;
    }
    return end;
  }

  /// A piece ends behind every space.
  static int behindSpaces(String text, int from, int to) {
    int space = text.indexOf(' ', from, to);
    return space < 0 ? to : space + 1;
  }

  /// A piece starts at every U+2581, which stands for a space.
  static int atWordMarks(String text, int from, int to) {
    int mark = text.indexOf('\u2581', from + 1, to);
    return mark < 0 ? to : mark;
  }

  /// Punctuation and the symbols that Falcon's pattern adds to it; without the grave accent it is
  /// the pattern of vocabularies that name no pre-tokenizer.
  static IntPredicate falconPunctuation(String symbols) {
    return c -> (CharacterClass.of(c) & PUNCTUATION) != 0 || symbols.indexOf(c) >= 0;
  }

  static boolean isPunctuationOrSymbol(int type) {
    return (type & (PUNCTUATION | SYMBOL)) != 0;
  }

  static boolean isLetterOrMark(int type) {
    return (type & (LETTER | MARK)) != 0;
  }
}
