package dev.tessera.models.tokenizer;

import dev.tessera.models.ModelFormatException;
import dev.tessera.models.OneLine;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/// Byte-pair encoding (Sennrich et al., 2016): a word starts as single symbols, and the pair that
/// comes first in the list of merges is joined until no pair is in the list. Symbols are bytes
/// (GPT-2) or characters, and then what is not in the vocabulary falls back to bytes.
///
/// SentencePiece's variant has scores instead of a list: any two neighbours whose joint text is a
/// token may merge, the best score first. It is the same algorithm on a list made from the scores.
final class BytePairModel implements SubwordModel {

  /// @param ignoreMerges whether a word that is a token stays whole though no merges lead to it
  /// @param unknown the token for what cannot be written, or -1: then it is dropped
  /// @param fuseUnknown whether neighbouring unknown characters are one unknown token
  record Options(boolean ignoreMerges, int unknown, boolean fuseUnknown) {}

  private final Vocabulary vocabulary;
  private final boolean byteLevel;
  private final Options options;
  private final LongMap pairs; // (left, right) → (rank, merged)
  private final LongMap characters; // code point → symbol
  private final int[] parts; // symbol - vocabularySize → code point that is only part of tokens
  private final boolean wordsMergeAlone;
  private final WordCache cache = new WordCache();

  private BytePairModel(
      Vocabulary vocabulary,
      boolean byteLevel,
      Options options,
      LongMap pairs,
      LongMap characters,
      int[] parts,
      boolean wordsMergeAlone) {
    this.vocabulary = vocabulary;
    this.byteLevel = byteLevel;
    this.options = options;
    this.pairs = pairs;
    this.characters = characters;
    this.parts = parts;
    this.wordsMergeAlone = wordsMergeAlone;
  }

  /// From a list of merges: left parts, right parts, best first.
  ///
  /// @throws ModelFormatException if a merge names a text that is not in the vocabulary
  static BytePairModel fromMerges(
      Vocabulary vocabulary,
      boolean byteLevel,
      List<String> lefts,
      List<String> rights,
      Options options)
      throws ModelFormatException {
    LongMap pairs = new LongMap(lefts.size());
    boolean wordsMergeAlone = vocabulary.id(String.valueOf(Vocabulary.WORD_MARK)) >= 0;
    for (int rank = 0; rank < lefts.size(); rank++) {
      String left = lefts.get(rank);
      String right = rights.get(rank);
      int leftId = known(vocabulary, left, rank);
      int rightId = known(vocabulary, right, rank);
      int merged = known(vocabulary, left + right, rank);
      pairs.putIfAbsent(LongMap.pair(leftId, rightId), LongMap.pair(rank, merged));
      wordsMergeAlone &= !crossesWords(left, right);
    }
    LongMap characters = new LongMap(byteLevel ? 0 : 4096);
    if (!byteLevel) {
      for (int id = 0; id < vocabulary.size(); id++) {
        if (vocabulary.isText(id) && isOneCharacter(vocabulary.piece(id))) {
          characters.putIfAbsent(vocabulary.piece(id).codePointAt(0), id);
        }
      }
    }
    return new BytePairModel(
        vocabulary,
        byteLevel,
        options,
        pairs,
        characters,
        new int[0],
        !byteLevel && wordsMergeAlone);
  }

  private static int known(Vocabulary vocabulary, String piece, int rank)
      throws ModelFormatException {
    int id = vocabulary.id(piece);
    if (id < 0) {
      throw new ModelFormatException(
          "merge %,d of the tokenizer names '%s', which is not in the vocabulary"
              .formatted(rank, OneLine.of(piece)));
    }
    return id;
  }

  /// SentencePiece BPE: the merges are all pairs of tokens whose joint text is a token.
  ///
  /// @param scores of the tokens, the highest merged first
  static BytePairModel fromScores(Vocabulary vocabulary, float[] scores, Options options) {
    int[] ranks = ranks(scores);
    LongMap characters = new LongMap(8192);
    for (int id = 0; id < vocabulary.size(); id++) {
      if (vocabulary.isText(id) && isOneCharacter(vocabulary.piece(id))) {
        characters.putIfAbsent(vocabulary.piece(id).codePointAt(0), id);
      }
    }
    TokenBuffer parts = new TokenBuffer();
    // A character that is no token may still be part of one: it gets a symbol behind the tokens.
    for (int id = 0; id < vocabulary.size(); id++) {
      if (vocabulary.isText(id)) {
        String piece = vocabulary.piece(id);
        for (int i = 0; i < piece.length(); i = CharacterClass.next(piece, i)) {
          if (characters.putIfAbsent(piece.codePointAt(i), vocabulary.size() + parts.size())) {
            parts.add(piece.codePointAt(i));
          }
        }
      }
    }
    LongMap pairs = new LongMap(vocabulary.size() * 2);
    boolean wordsMergeAlone = vocabulary.textId(String.valueOf(Vocabulary.WORD_MARK)) >= 0;
    for (int id = 0; id < vocabulary.size(); id++) {
      if (!vocabulary.isText(id)) {
        continue;
      }
      String piece = vocabulary.piece(id);
      for (int cut = CharacterClass.next(piece, 0);
          cut < piece.length();
          cut = CharacterClass.next(piece, cut)) {
        String left = piece.substring(0, cut);
        String right = piece.substring(cut);
        int leftSymbol = symbol(vocabulary, characters, left);
        int rightSymbol = symbol(vocabulary, characters, right);
        if (leftSymbol >= 0 && rightSymbol >= 0) {
          pairs.putIfAbsent(LongMap.pair(leftSymbol, rightSymbol), LongMap.pair(ranks[id], id));
          wordsMergeAlone &= !crossesWords(left, right);
        }
      }
    }
    return new BytePairModel(
        vocabulary, false, options, pairs, characters, parts.toArray(), wordsMergeAlone);
  }

  private static int symbol(Vocabulary vocabulary, LongMap characters, String text) {
    return isOneCharacter(text)
        ? (int) characters.get(text.codePointAt(0))
        : vocabulary.textId(text);
  }

  /// Equal scores share a rank: their pairs go from left to right.
  private static int[] ranks(float[] scores) {
    float[] ascending = new float[scores.length];
    for (int i = 0; i < scores.length; i++) {
      ascending[i] = scores[i] + 0f; // one zero, not two
    }
    Arrays.sort(ascending);
    int distinct = 0;
    for (int i = 0; i < ascending.length; i++) {
      if (i == 0 || ascending[i] != ascending[distinct - 1]) {
        ascending[distinct++] = ascending[i];
      }
    }
    int[] ranks = new int[scores.length];
    for (int i = 0; i < scores.length; i++) {
      ranks[i] = distinct - 1 - Arrays.binarySearch(ascending, 0, distinct, scores[i] + 0f);
    }
    return ranks;
  }

  private static boolean isOneCharacter(String text) {
    return !text.isEmpty() && CharacterClass.next(text, 0) == text.length();
  }

  /// Whether the merge joins the end of one word with the start of the next.
  private static boolean crossesWords(String left, String right) {
    return right.charAt(0) == Vocabulary.WORD_MARK
        && left.charAt(left.length() - 1) != Vocabulary.WORD_MARK;
  }

  @Override
  public void encode(String text, int from, int to, PairMerger scratch, TokenBuffer tokens) {
    if (!wordsMergeAlone) {
      word(text, from, to, scratch, tokens);
      return;
    }
    // No merge crosses into a word, so words can be merged, and remembered, one by one.
    int start = from;
    for (int i = from + 1; i <= to; i++) {
      if (i == to
          || (text.charAt(i) == Vocabulary.WORD_MARK
              && text.charAt(i - 1) != Vocabulary.WORD_MARK)) {
        word(text, start, i, scratch, tokens);
        start = i;
      }
    }
  }

  private void word(String text, int from, int to, PairMerger scratch, TokenBuffer tokens) {
    boolean cached = to - from <= WordCache.MAX_CHARACTERS;
    if (cached) {
      int[] known = cache.get(text, from, to);
      if (known != null) {
        tokens.addAll(known);
        return;
      }
    }
    int start = tokens.size();
    mergeWord(text, from, to, scratch, tokens);
    if (cached) {
      cache.put(text, from, to, tokens.from(start));
    }
  }

  private void mergeWord(String text, int from, int to, PairMerger scratch, TokenBuffer tokens) {
    if (options.ignoreMerges && to - from <= Vocabulary.MAX_PIECE_CHARACTERS) {
      String word = text.substring(from, to);
      int whole = vocabulary.textId(byteLevel ? ByteAlphabet.spell(word) : word);
      if (whole >= 0) {
        tokens.add(whole);
        return;
      }
    }
    scratch.clear();
    if (byteLevel) {
      for (byte b : text.substring(from, to).getBytes(StandardCharsets.UTF_8)) {
        scratch.add(vocabulary.byteToken(b & 0xFF));
      }
    } else {
      for (int i = from; i < to; i = CharacterClass.next(text, i)) {
        int codePoint = text.codePointAt(i);
        long symbol = characters.get(codePoint);
        // Not even a part of a token: kept as a negative symbol, to be written as bytes.
        scratch.add(symbol == LongMap.ABSENT ? -2 - codePoint : (int) symbol);
      }
    }
    scratch.merge(pairs);
    boolean unknownBefore = false;
    for (int i = 0; i >= 0; i = scratch.next(i)) {
      int symbol = scratch.symbol(i);
      if (symbol >= 0 && symbol < vocabulary.size()) {
        tokens.add(symbol);
        unknownBefore = false;
      } else if (byteLevel) {
        unknownBefore = unknown(unknownBefore, tokens);
      } else {
        int codePoint = symbol < 0 ? -2 - symbol : parts[symbol - vocabulary.size()];
        unknownBefore = bytes(codePoint, unknownBefore, tokens);
      }
    }
  }

  private boolean bytes(int codePoint, boolean unknownBefore, TokenBuffer tokens) {
    byte[] bytes = Character.toString(codePoint).getBytes(StandardCharsets.UTF_8);
    for (byte b : bytes) {
      if (vocabulary.byteToken(b & 0xFF) < 0) {
        return unknown(unknownBefore, tokens);
      }
    }
    for (byte b : bytes) {
      tokens.add(vocabulary.byteToken(b & 0xFF));
    }
    return false;
  }

  private boolean unknown(boolean unknownBefore, TokenBuffer tokens) {
    if (options.unknown >= 0 && !(unknownBefore && options.fuseUnknown)) {
      tokens.add(options.unknown);
    }
    return true;
  }
}
