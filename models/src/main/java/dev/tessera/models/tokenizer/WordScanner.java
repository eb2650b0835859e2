package dev.tessera.models.tokenizer;

import static dev.tessera.models.tokenizer.CharacterClass.CASELESS;
import static dev.tessera.models.tokenizer.CharacterClass.LETTER;
import static dev.tessera.models.tokenizer.CharacterClass.LOWER;
import static dev.tessera.models.tokenizer.CharacterClass.MARK;
import static dev.tessera.models.tokenizer.CharacterClass.NUMBER;
import static dev.tessera.models.tokenizer.CharacterClass.PUNCTUATION;
import static dev.tessera.models.tokenizer.CharacterClass.SPACE;
import static dev.tessera.models.tokenizer.CharacterClass.SYMBOL;
import static dev.tessera.models.tokenizer.CharacterClass.UPPER;
import static dev.tessera.models.tokenizer.CharacterClass.at;
import static dev.tessera.models.tokenizer.CharacterClass.next;
import static dev.tessera.models.tokenizer.CharacterClass.run;

/// The patterns that descend from OpenAI's cl100k: a word may take one character in front of it,
/// newlines cling to symbols, and numbers come in short groups.
final class WordScanner {
  /// What a word made of upper and lower case may be: all capitals or none, then small letters.
  private static final int HEAD = UPPER | CASELESS | MARK;

  private static final int TAIL = LOWER | CASELESS | MARK;

  private WordScanner() {}

  /// Llama 3 (3 digits), Qwen 2 (1 digit):
  /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}|
  /// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
  static Splitter words(int digits) {
    return words(digits, LETTER);
  }

  /// The same with other letters: Qwen 3.5 counts combining marks among them.
  static Splitter words(int digits, int letters) {
    return (text, from, to) -> {
      int contraction = Scanners.contraction(text, from, to, true);
      if (contraction > 0) {
        return from + contraction;
      }
      int type = at(text, from, to);
      if ((type & (LETTER | NUMBER)) == 0 && !Scanners.isNewline(text, from, to)) {
        int start = next(text, from);
        if ((at(text, start, to) & letters) != 0) {
          return run(text, start, to, letters);
        }
      }
      if ((type & letters) != 0) {
        return run(text, from, to, letters);
      }
      if ((type & NUMBER) != 0) {
        return numbers(text, from, to, digits);
      }
      int end = Scanners.symbols(text, from, to, SPACE | NUMBER | letters, "\r\n");
      return end > from ? end : Scanners.spacesOrNewlines(text, from, to);
    };
  }

  /// Tekken (Mistral Nemo; 1 digit, no contractions) and GPT-4o (3 digits, contractions behind the
  /// word): words break where a small letter meets a capital.
  /// `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|
  /// [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*| \p{N}{1,digits}|
  /// ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
  static Splitter casedWords(int digits, boolean contractions) {
    return (text, from, to) -> {
      int end = casedWord(text, from, to);
      if (end > from) {
        return contractions ? end + Scanners.contraction(text, end, to, true) : end;
      }
      if ((at(text, from, to) & NUMBER) != 0) {
        return numbers(text, from, to, digits);
      }
      end = Scanners.symbols(text, from, to, SPACE | NUMBER | LETTER, "\r\n/");
      return end > from ? end : Scanners.spacesOrNewlines(text, from, to);
    };
  }

  private static int casedWord(String text, int from, int to) {
    boolean mayPrefix =
        (at(text, from, to) & (LETTER | NUMBER)) == 0 && !Scanners.isNewline(text, from, to);
    int behind = mayPrefix ? next(text, from) : from;
    int end = withTail(text, behind, to);
    if (end == behind && mayPrefix) {
      end = withTail(text, from, to);
      if (end > from) {
        return end;
      }
    }
    if (end > behind) {
      return end;
    }
    end = run(text, behind, to, HEAD);
    if (end > behind) {
      return end;
    }
    return mayPrefix ? run(text, from, to, HEAD) : from;
  }

  /// `HEAD*TAIL+`, or `from`. HEAD is greedy, but it gives characters that are in both sets back
  /// until TAIL has one.
  private static int withTail(String text, int from, int to) {
    int head = run(text, from, to, HEAD);
    int end = run(text, head, to, TAIL);
    if (end > head) {
      return end;
    }
    for (int index = head; index > from; ) {
      int start = text.offsetByCodePoints(index, -1);
      if ((at(text, start, to) & TAIL) != 0) {
        return index;
      }
      index = start;
    }
    return from;
  }

  /// The last rule of DeepSeek V3; numbers and ideographs were cut out before it:
  /// ``[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
  /// ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+``
  static int deepseekV3(String text, int from, int to) {
    int end = deepseekV3Match(text, from, to);
    if (end > from) {
      return end;
    }
    do {
      end = next(text, end);
    } while (end < to && deepseekV3Match(text, end, to) == end);
    return end;
  }

  private static int deepseekV3Match(String text, int from, int to) {
    int type = at(text, from, to);
    boolean symbol = Scanners.isPunctuationOrSymbol(type);
    if (symbol && text.charAt(from) < 0x80) {
      int end = from + 1;
      while (end < to && isAsciiLetter(text.charAt(end))) {
        end++;
      }
      if (end > from + 1) {
        return end;
      }
    }
    if (!symbol && (type & LETTER) == 0 && !Scanners.isNewline(text, from, to)) {
      int start = next(text, from);
      if (Scanners.isLetterOrMark(at(text, start, to))) {
        return run(text, start, to, LETTER | MARK);
      }
    }
    if (Scanners.isLetterOrMark(type)) {
      return run(text, from, to, LETTER | MARK);
    }
    int start = text.charAt(from) == ' ' ? from + 1 : from;
    int end = run(text, start, to, PUNCTUATION | SYMBOL);
    if (end > start) {
      while (Scanners.isNewline(text, end, to)) {
        end++;
      }
      return end;
    }
    return Scanners.spacesOrNewlines(text, from, to);
  }

  private static boolean isAsciiLetter(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  }

  private static int numbers(String text, int from, int to, int max) {
    int end = from;
    for (int n = 0; n < max && (at(text, end, to) & NUMBER) != 0; n++) {
      end = next(text, end);
    }
    return end;
  }
}
