package dev.tessera.models.tokenizer;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/// SentencePiece's unigram model (Kudo, 2018): of all ways to write a word as tokens, the one whose
/// scores (log probabilities) add up highest, found by Viterbi's algorithm over a trie.
final class UnigramModel implements SubwordModel {
  /// An unknown character costs this much more than the worst token.
  private static final float UNKNOWN_PENALTY = 10f;

  private static final int NONE = -1;

  private final Vocabulary vocabulary;
  private final double[] scores;
  private final int unknown;
  private final double unknownScore;
  private final boolean byteFallback;
  private final LongMap children = new LongMap(1 << 16); // (node, byte) → node; the root is 0
  private final TokenBuffer ends = new TokenBuffer(); // node → token, or NONE

  private UnigramModel(
      Vocabulary vocabulary, double[] scores, int unknown, double worst, boolean byteFallback) {
    this.vocabulary = vocabulary;
    this.scores = scores;
    this.unknown = unknown;
    this.unknownScore = worst - UNKNOWN_PENALTY;
    this.byteFallback = byteFallback;
    ends.add(NONE);
    for (int id = 0; id < vocabulary.size(); id++) {
      if (vocabulary.isText(id) || vocabulary.kind(id) == Vocabulary.Kind.UNUSED) {
        insert(vocabulary.piece(id).getBytes(StandardCharsets.UTF_8), id);
      }
    }
  }

  static UnigramModel of(Vocabulary vocabulary, float[] scores, int unknown) {
    double worst = 0;
    double[] exact = new double[scores.length];
    for (int id = 0; id < scores.length; id++) {
      // A token of the user's is always worth taking.
      exact[id] = vocabulary.kind(id) == Vocabulary.Kind.USER_DEFINED ? 0 : scores[id];
      worst = vocabulary.kind(id) == Vocabulary.Kind.NORMAL ? Math.min(worst, scores[id]) : worst;
    }
    return new UnigramModel(vocabulary, exact, unknown, worst, false);
  }

  /// As `tokenizer.json` has it.
  static UnigramModel of(
      Vocabulary vocabulary, double[] scores, int unknown, boolean byteFallback) {
    double worst = Arrays.stream(scores).min().orElse(0);
    return new UnigramModel(vocabulary, scores, unknown, worst, byteFallback);
  }

  private void insert(byte[] piece, int id) {
    int node = 0;
    for (byte b : piece) {
      long key = LongMap.pair(node, b & 0xFF);
      if (children.putIfAbsent(key, ends.size())) {
        ends.add(NONE);
      }
      node = (int) children.get(key);
    }
    if (node != 0 && ends.get(node) == NONE) {
      ends.set(node, id);
    }
  }

  @Override
  public void encode(String text, int from, int to, PairMerger scratch, TokenBuffer tokens) {
    byte[] input = text.substring(from, to).getBytes(StandardCharsets.UTF_8);
    Lattice lattice = new Lattice(input, tokens);
    for (int i = 0; i < input.length; ) {
      lattice.arrive(i);
      int character = characterLength(input, i);
      boolean known = false;
      long node = 0;
      for (int j = i; j < input.length; j++) {
        node = children.get(LongMap.pair((int) node, input[j] & 0xFF));
        if (node == LongMap.ABSENT) {
          break;
        }
        int id = ends.get((int) node);
        if (id != NONE) {
          lattice.offer(i, j + 1, id, scores[id]);
          known |= j + 1 - i == character;
        }
      }
      if (!known) {
        lattice.offer(i, i + character, unknown, unknownScore);
      }
      i += character;
    }
    lattice.decide(input.length);
  }

  /// The best way to every border of the text between the last one that is decided and the last one
  /// that a token reaches. A border that no token crosses lies on every way, so what is before it
  /// is decided there, and a text of many words takes the room of one.
  private final class Lattice {
    private static final int ROOM = 4096;

    private final byte[] input;
    private final TokenBuffer tokens;
    private double[] best = new double[ROOM]; // score of the best way up to base + i
    private int[] token = new int[ROOM]; // its last token
    private int[] start = new int[ROOM]; // where that token starts, from base
    private int base;
    private int furthest; // the last border that a token reaches

    Lattice(byte[] input, TokenBuffer tokens) {
      this.input = input;
      this.tokens = tokens;
      Arrays.fill(best, Double.NEGATIVE_INFINITY);
      best[0] = 0;
    }

    /// All tokens that start before this border have been offered.
    void arrive(int border) {
      // Neighbouring unknown characters become one token, so no border between them is final.
      if (border == furthest && border - base >= ROOM / 2 && token[border - base] != unknown) {
        double score = best[border - base];
        decide(border);
        Arrays.fill(best, 0, border - base + 1, Double.NEGATIVE_INFINITY);
        best[0] = score; // summed from the beginning of the text, as if it were never cut
        base = border;
      }
    }

    void offer(int from, int to, int id, double score) {
      furthest = Math.max(furthest, to);
      int index = to - base;
      if (index >= best.length) {
        int capacity = Math.min(2 * index, input.length + 1);
        int filled = best.length;
        best = Arrays.copyOf(best, capacity);
        token = Arrays.copyOf(token, capacity);
        start = Arrays.copyOf(start, capacity);
        Arrays.fill(best, filled, capacity, Double.NEGATIVE_INFINITY);
      }
      if (best[from - base] + score > best[index]) {
        best[index] = best[from - base] + score;
        token[index] = id;
        start[index] = from - base;
      }
    }

    /// Appends the tokens of the best way from the base to a border.
    void decide(int border) {
      int first = tokens.size();
      for (int end = border - base; end > 0; ) {
        int from = start[end];
        if (token[end] != unknown) {
          tokens.add(token[end]);
        } else {
          // Neighbouring unknown characters are one token, or all their bytes.
          while (from > 0 && token[from] == unknown) {
            from = start[from];
          }
          unknownRun(input, base + from, base + end, tokens);
        }
        end = from;
      }
      tokens.reverse(first);
    }
  }

  /// Appends backwards, as the whole result is.
  private void unknownRun(byte[] input, int from, int to, TokenBuffer tokens) {
    boolean asBytes = byteFallback;
    for (int i = from; i < to && asBytes; i++) {
      asBytes = vocabulary.byteToken(input[i] & 0xFF) >= 0;
    }
    if (!asBytes) {
      if (unknown != NONE) {
        tokens.add(unknown);
      }
      return;
    }
    for (int i = to - 1; i >= from; i--) {
      tokens.add(vocabulary.byteToken(input[i] & 0xFF));
    }
  }

  private static int characterLength(byte[] input, int index) {
    int end = index + 1;
    while (end < input.length && (input[end] & 0xC0) == 0x80) {
      end++;
    }
    return end - index;
  }
}
