package dev.tessera.models.tokenizer;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/// Finds the tokens that stand in a text by their name, before the text between them is cut into
/// words: leftmost first, of several the longest.
final class AddedTokens {

  /// @param leftStrip whether it takes the white space before it
  /// @param rightStrip whether it takes the white space behind it
  /// @param singleWord whether it only matches where no word character touches it
  record Token(String text, int id, boolean leftStrip, boolean rightStrip, boolean singleWord) {
    Token withText(String other) {
      return new Token(other, id, leftStrip, rightStrip, singleWord);
    }
  }

  @FunctionalInterface
  interface FragmentConsumer {
    void fragment(int from, int to);
  }

  private final List<Token> tokens = new ArrayList<>();
  private final BitSet firstCharacters = new BitSet();
  private final LongMap children = new LongMap(64); // (node, character) → node; the root is 0
  private final TokenBuffer ends = new TokenBuffer(); // node → index of the token, or -1

  AddedTokens(List<Token> added) {
    ends.add(-1);
    for (Token token : added) {
      int node = 0;
      for (int i = 0; i < token.text.length(); i++) {
        long key = LongMap.pair(node, token.text.charAt(i));
        if (children.putIfAbsent(key, ends.size())) {
          ends.add(-1);
        }
        node = (int) children.get(key);
      }
      if (node != 0 && ends.get(node) < 0) {
        firstCharacters.set(token.text.charAt(0));
        ends.set(node, tokens.size());
        tokens.add(token);
      }
    }
  }

  /// Hands out the text between the tokens, and the tokens, in their order.
  void split(String text, FragmentConsumer fragments, IntConsumer found) {
    int start = 0; // of the text that no token has taken yet
    for (int i = 0; i < text.length(); ) {
      Token token = firstCharacters.get(text.charAt(i)) ? longestAt(text, i) : null;
      if (token == null) {
        i++;
        continue;
      }
      int end = i + token.text.length();
      if (token.singleWord && (isWord(text, i - 1) || isWord(text, end))) {
        i = end;
        continue;
      }
      int from = i;
      while (token.leftStrip && from > start && isSpace(text, from - 1)) {
        from--;
      }
      while (token.rightStrip && isSpace(text, end)) {
        end++;
      }
      if (from > start) {
        fragments.fragment(start, from);
      }
      found.accept(token.id);
      start = end;
      i = end;
    }
    if (start < text.length()) {
      fragments.fragment(start, text.length());
    }
  }

  private @Nullable Token longestAt(String text, int index) {
    int longest = -1;
    long node = 0;
    for (int i = index; i < text.length(); i++) {
      node = children.get(LongMap.pair((int) node, text.charAt(i)));
      if (node == LongMap.ABSENT) {
        break;
      }
      if (ends.get((int) node) >= 0) {
        longest = ends.get((int) node);
      }
    }
    return longest < 0 ? null : tokens.get(longest);
  }

  private static boolean isSpace(String text, int index) {
    return index < text.length() && CharacterClass.isSpace(text.charAt(index));
  }

  private static boolean isWord(String text, int index) {
    return index >= 0
        && index < text.length()
        && (Character.isLetterOrDigit(text.charAt(index)) || text.charAt(index) == '_');
  }
}
