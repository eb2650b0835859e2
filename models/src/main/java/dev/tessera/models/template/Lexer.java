package dev.tessera.models.template;

import dev.tessera.models.template.Token.Kind;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/// Cuts a template into tokens, with the white space rules of Jinja under `trim_blocks` and
/// `lstrip_blocks`: the newline after a tag goes, and so does the indentation before a tag that
/// starts its line; `-` takes all white space on its side, `+` keeps it.
final class Lexer {
  private static final String[] OPERATORS = {
    "**", "//", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",", ";"
  };

  private final String source;
  private final List<Token> tokens = new ArrayList<>();
  private int pos;
  private int line = 1;
  private int countedTo;

  /// Whether what was read last ended a line: then indentation before the next tag is its own.
  private boolean lineStarting = true;

  private Lexer(String source) {
    this.source = source;
  }

  /// Every token, ending with one of [Kind#END].
  static List<Token> tokens(String source, Budget budget) {
    var lexer = new Lexer(normalized(source));
    try {
      lexer.template();
    } finally {
      budget.line = lexer.lineAt(Math.min(lexer.pos, lexer.source.length()));
    }
    return lexer.tokens;
  }

  /// One kind of newline, and none at the end: a file's last newline is not the template's.
  private static String normalized(String source) {
    String text =
        source.indexOf('\r') < 0 ? source : source.replace("\r\n", "\n").replace('\r', '\n');
    return text.endsWith("\n") ? text.substring(0, text.length() - 1) : text;
  }

  private void template() {
    while (pos < source.length()) {
      int tag = nextTag();
      if (tag < 0) {
        data(source.substring(pos));
        pos = source.length();
        break;
      }
      switch (source.charAt(tag + 1)) {
        case '#' -> comment(tag);
        case '%' -> {
          int rawEnd = rawTagEnd(tag);
          if (rawEnd >= 0) {
            raw(tag, rawEnd);
          } else {
            tag(tag, true);
          }
        }
        default -> tag(tag, false);
      }
    }
    tokens.add(new Token(Kind.END, "", lineAt(source.length())));
  }

  private int nextTag() {
    for (int at = source.indexOf('{', pos);
        at >= 0 && at + 1 < source.length();
        at = source.indexOf('{', at + 1)) {
      char next = source.charAt(at + 1);
      if (next == '{' || next == '%' || next == '#') {
        return at;
      }
    }
    return -1;
  }

  private void data(String text) {
    if (!text.isEmpty()) {
      tokens.add(new Token(Kind.DATA, text, lineAt(pos)));
    }
  }

  /// The text before a tag, with the tag's sign applied.
  private void dataBefore(int tag, char sign, boolean stripsIndentation) {
    String text = source.substring(pos, tag);
    if (sign == '-') {
      text = PythonText.strip(text, null, false, true);
    } else if (sign != '+' && stripsIndentation) {
      int lineStart = text.lastIndexOf('\n') + 1;
      if ((lineStart > 0 || lineStarting) && isSpace(text, lineStart)) {
        text = text.substring(0, lineStart);
      }
    }
    data(text);
  }

  private static boolean isSpace(String text, int from) {
    for (int i = from; i < text.length(); i++) {
      if (!PythonText.isSpace(text.charAt(i))) {
        return false;
      }
    }
    return true;
  }

  private char signAt(int at) {
    char c = at < source.length() ? source.charAt(at) : 0;
    return c == '-' || c == '+' ? c : 0;
  }

  private void comment(int tag) {
    char sign = signAt(tag + 2);
    int from = tag + 2 + (sign == 0 ? 0 : 1);
    int end = source.indexOf("#}", from);
    if (end < 0) {
      pos = tag;
      throw new Failure("the comment is not closed");
    }
    dataBefore(tag, sign, true);
    char closing = end > from ? signAt(end - 1) : 0;
    pos = end + 2;
    afterBlock(closing);
  }

  /// The white space after a block or comment.
  private void afterBlock(char sign) {
    if (sign == '-') {
      skipSpace();
    } else if (sign != '+' && pos < source.length() && source.charAt(pos) == '\n') {
      pos++;
    }
    lineStarting = source.charAt(pos - 1) == '\n';
  }

  private void skipSpace() {
    pos = spaceEnd(pos);
  }

  private int spaceEnd(int at) {
    while (at < source.length() && PythonText.isSpace(source.charAt(at))) {
      at++;
    }
    return at;
  }

  /// Where the tag `{% raw %}` that starts at `tag` ends, or -1.
  private int rawTagEnd(int tag) {
    int at = wordEnd(tag, "raw");
    if (at < 0) {
      return -1;
    }
    if (source.startsWith("-%}", at)) {
      return spaceEnd(at + 3);
    }
    return source.startsWith("%}", at) ? at + 2 : -1;
  }

  private int wordEnd(int tag, String word) {
    int at = spaceEnd(tag + 2 + (signAt(tag + 2) == 0 ? 0 : 1));
    return source.startsWith(word, at) ? spaceEnd(at + word.length()) : -1;
  }

  private void raw(int tag, int contentStart) {
    dataBefore(tag, signAt(tag + 2), true);
    pos = contentStart;
    lineStarting = source.charAt(pos - 1) == '\n';
    for (int end = source.indexOf("{%", pos); end >= 0; end = source.indexOf("{%", end + 1)) {
      int at = wordEnd(end, "endraw");
      if (at < 0) {
        continue;
      }
      char closing = signAt(at);
      int close = closing == 0 ? at : at + 1;
      if (source.startsWith("%}", close)) {
        dataBefore(end, signAt(end + 2), true);
        pos = close + 2;
        afterBlock(closing);
        return;
      }
    }
    pos = tag;
    throw new Failure("the raw block is not closed");
  }

  private void tag(int tag, boolean block) {
    char sign = signAt(tag + 2);
    dataBefore(tag, sign, block);
    pos = tag + 2 + (sign == 0 ? 0 : 1);
    add(block ? Kind.BLOCK_BEGIN : Kind.VARIABLE_BEGIN, source.substring(tag, pos), tag);
    Deque<Character> open = new ArrayDeque<>();
    while (true) {
      skipSpace();
      if (pos >= source.length()) {
        pos = tag;
        throw new Failure((block ? "'{%'" : "'{{'") + " is not closed");
      }
      if (open.isEmpty() && closed(block)) {
        return;
      }
      token(open);
    }
  }

  private boolean closed(boolean block) {
    String close = block ? "%}" : "}}";
    char sign = signAt(pos);
    if (sign == '+' && !block) {
      return false;
    }
    int at = sign == 0 ? pos : pos + 1;
    if (!source.startsWith(close, at)) {
      return false;
    }
    add(block ? Kind.BLOCK_END : Kind.VARIABLE_END, close, pos);
    pos = at + 2;
    if (block) {
      afterBlock(sign);
    } else {
      if (sign == '-') {
        skipSpace();
      }
      lineStarting = source.charAt(pos - 1) == '\n';
    }
    return true;
  }

  private void token(Deque<Character> open) {
    char c = source.charAt(pos);
    if (c >= '0' && c <= '9') {
      number();
    } else if (isNamePart(source.codePointAt(pos))) {
      int start = pos;
      while (pos < source.length() && isNamePart(source.codePointAt(pos))) {
        pos += Character.charCount(source.codePointAt(pos));
      }
      add(Kind.NAME, source.substring(start, pos), start);
    } else if (c == '\'' || c == '"') {
      string(c);
    } else {
      operator(open);
    }
  }

  private static boolean isNamePart(int c) {
    return c == '_' || Character.isLetterOrDigit(c);
  }

  private void operator(Deque<Character> open) {
    for (String operator : OPERATORS) {
      if (source.startsWith(operator, pos)) {
        char c = operator.charAt(0);
        if (c == '(' || c == '[' || c == '{') {
          open.push(c == '(' ? ')' : c == '[' ? ']' : '}');
        } else if (c == ')' || c == ']' || c == '}') {
          if (open.isEmpty() || open.pop() != c) {
            throw new Failure("unexpected '" + c + "'");
          }
        }
        add(Kind.OPERATOR, operator, pos);
        pos += operator.length();
        return;
      }
    }
    throw new Failure("unexpected character " + PythonText.repr(source.substring(pos, pos + 1)));
  }

  private void number() {
    int start = pos;
    // After a dot a number is an index: `x.0.1` is two of them.
    boolean mayBeFloat = start == 0 || source.charAt(start - 1) != '.';
    if (source.charAt(pos) == '0' && pos + 1 < source.length()) {
      int radix =
          switch (source.charAt(pos + 1)) {
            case 'x', 'X' -> 16;
            case 'o', 'O' -> 8;
            case 'b', 'B' -> 2;
            default -> 0;
          };
      if (radix != 0) {
        pos += 2;
        int from = pos;
        while (pos < source.length()
            && (source.charAt(pos) == '_' || Character.digit(source.charAt(pos), radix) >= 0)) {
          pos++;
        }
        integer(source.substring(from, pos), radix, start);
        return;
      }
    }
    digits();
    boolean isFloat = false;
    if (mayBeFloat) {
      if (pos + 1 < source.length() && source.charAt(pos) == '.' && isDigit(pos + 1)) {
        pos++;
        digits();
        isFloat = true;
      }
      int exponent = pos + 1;
      if (pos < source.length() && (source.charAt(pos) | 0x20) == 'e') {
        exponent += signAt(exponent) == 0 ? 0 : 1;
        if (isDigit(exponent)) {
          pos = exponent;
          digits();
          isFloat = true;
        }
      }
    }
    String digits = source.substring(start, pos).replace("_", "");
    if (isFloat) {
      add(Kind.FLOAT, digits, start);
    } else {
      integer(digits, 10, start);
    }
  }

  private void integer(String digits, int radix, int start) {
    try {
      add(Kind.INTEGER, Long.toString(Long.parseLong(digits.replace("_", ""), radix)), start);
    } catch (NumberFormatException e) {
      pos = start;
      throw new Failure("the number is not an integer of 64 bits");
    }
  }

  private boolean isDigit(int at) {
    return at < source.length() && source.charAt(at) >= '0' && source.charAt(at) <= '9';
  }

  private void digits() {
    while (isDigit(pos)
        || (pos < source.length() && source.charAt(pos) == '_' && isDigit(pos + 1))) {
      pos++;
    }
  }

  private void string(char quote) {
    int start = pos;
    var text = new StringBuilder();
    pos++;
    while (pos < source.length() && source.charAt(pos) != quote) {
      char c = source.charAt(pos++);
      if (c == '\\' && pos < source.length()) {
        escape(text);
      } else {
        text.append(c);
      }
    }
    if (pos >= source.length()) {
      pos = start;
      throw new Failure("the string is not closed");
    }
    pos++;
    add(Kind.STRING, text.toString(), start);
  }

  /// Python's escapes; one that it does not know stays as written.
  private void escape(StringBuilder text) {
    char c = source.charAt(pos++);
    switch (c) {
      case '\n' -> {}
      case '\\', '\'', '"' -> text.append(c);
      case 'a' -> text.append('\u0007');
      case 'b' -> text.append('\b');
      case 'f' -> text.append('\f');
      case 'n' -> text.append('\n');
      case 'r' -> text.append('\r');
      case 't' -> text.append('\t');
      case 'v' -> text.append('\u000b');
      case 'x' -> hex(text, 2);
      case 'u' -> hex(text, 4);
      case 'U' -> hex(text, 8);
      case '0', '1', '2', '3', '4', '5', '6', '7' -> {
        int value = c - '0';
        for (int i = 0; i < 2 && isDigit(pos) && source.charAt(pos) < '8'; i++) {
          value = value * 8 + source.charAt(pos++) - '0';
        }
        text.append((char) value);
      }
      case 'N' -> throw new Failure("the escape \\N in a string is not supported");
      default -> text.append('\\').append(c);
    }
  }

  private void hex(StringBuilder text, int length) {
    int value = 0;
    for (int i = 0; i < length; i++) {
      int digit = pos < source.length() ? Character.digit(source.charAt(pos), 16) : -1;
      if (digit < 0) {
        throw new Failure("an escape in a string needs " + length + " hexadecimal digits");
      }
      value = value << 4 | digit;
      pos++;
    }
    if (!Character.isValidCodePoint(value)) {
      throw new Failure("an escape in a string is not a character");
    }
    text.appendCodePoint(value);
  }

  private void add(Kind kind, String text, int start) {
    tokens.add(new Token(kind, text, lineAt(start)));
  }

  /// Positions are asked for in rising order, nearly always.
  private int lineAt(int at) {
    if (at < countedTo) {
      line = 1;
      countedTo = 0;
    }
    for (; countedTo < at; countedTo++) {
      if (source.charAt(countedTo) == '\n') {
        line++;
      }
    }
    return line;
  }
}
