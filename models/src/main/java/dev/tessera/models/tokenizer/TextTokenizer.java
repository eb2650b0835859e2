package dev.tessera.models.tokenizer;

import java.util.Arrays;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.Semaphore;

/// A tokenizer put together from its stages: names of tokens are found in the text, what lies
/// between them is normalised, names are found again that only exist in normalised text, and the
/// rest is cut into words, which the model turns into tokens.
final class TextTokenizer implements Tokenizer {

  /// Everything that is particular to a family.
  ///
  /// @param allNames the tokens found by name where `parseSpecial` is on
  /// @param userNames those found where it is off
  /// @param before the tokens around a prompt: before it
  /// @param after and behind it
  /// @param leadingSpace whether encoding put a space before the text, so that decoding removes it
  record Stages(
      Vocabulary vocabulary,
      Names allNames,
      Names userNames,
      Normalization normalization,
      WordPrefix wordPrefix,
      PreTokenizer preTokenizer,
      SubwordModel model,
      int[] before,
      int[] after,
      boolean leadingSpace,
      OptionalInt beginOfSequence,
      OptionalInt endOfSequence,
      Set<Integer> endOfGeneration) {}

  /// Tokens found by their names.
  ///
  /// @param raw in the text as it came
  /// @param normalized in the normalised text between those
  record Names(AddedTokens raw, AddedTokens normalized) {}

  /// What happens to a text before it is cut into words.
  ///
  /// @param prefix put before a text that does not start with it; empty for none
  /// @param firstOnly whether only at the beginning, not behind every special token
  /// @param marksSpaces whether spaces become U+2581 before that
  record WordPrefix(String prefix, boolean firstOnly, boolean marksSpaces) {
    static final WordPrefix NONE = new WordPrefix("", true, false);
  }

  /// Characters above which a text is large: merging it may take 100 times as many bytes.
  static final int LARGE = 1 << 17;

  /// Large texts go one by one, whatever tokenizer they are for: each alone fits the heap, and a
  /// few at once need not.
  private static final Semaphore LARGE_TEXT = new Semaphore(1, true);

  private final Stages stages;
  private final Vocabulary vocabulary;

  TextTokenizer(Stages stages) {
    this.stages = stages;
    this.vocabulary = stages.vocabulary();
  }

  @Override
  public int vocabularySize() {
    return vocabulary.size();
  }

  @Override
  public int[] encode(String text, boolean addSpecial, boolean parseSpecial) {
    if (text.length() <= LARGE) {
      return encodeNow(text, addSpecial, parseSpecial);
    }
    LARGE_TEXT.acquireUninterruptibly();
    try {
      return encodeNow(text, addSpecial, parseSpecial);
    } finally {
      LARGE_TEXT.release();
    }
  }

  private int[] encodeNow(String text, boolean addSpecial, boolean parseSpecial) {
    String wellFormed = wellFormed(text);
    TokenBuffer tokens = new TokenBuffer();
    PairMerger scratch = new PairMerger();
    if (addSpecial) {
      tokens.addAll(stages.before());
    }
    Names names = parseSpecial ? stages.allNames() : stages.userNames();
    names
        .raw()
        .split(
            wellFormed,
            (from, to) ->
                fragment(
                    wellFormed.substring(from, to), from == 0, names.normalized(), scratch, tokens),
            tokens::add);
    if (addSpecial) {
      tokens.addAll(stages.after());
    }
    return tokens.toArray();
  }

  private void fragment(
      String text, boolean first, AddedTokens names, PairMerger scratch, TokenBuffer tokens) {
    String normalized = stages.normalization().apply(text);
    names.split(
        normalized,
        (from, to) -> words(normalized.substring(from, to), first && from == 0, scratch, tokens),
        tokens::add);
  }

  private void words(String text, boolean first, PairMerger scratch, TokenBuffer tokens) {
    WordPrefix lead = stages.wordPrefix();
    String marked = lead.marksSpaces() ? text.replace(' ', Vocabulary.WORD_MARK) : text;
    boolean prefixed = (first || !lead.firstOnly()) && !marked.startsWith(lead.prefix());
    String prepared = prefixed ? lead.prefix() + marked : marked;
    stages
        .preTokenizer()
        .split(
            prepared,
            0,
            prepared.length(),
            (from, to) -> stages.model().encode(prepared, from, to, scratch, tokens));
  }

  /// Half a surrogate pair has no UTF-8: it becomes U+FFFD.
  private static String wellFormed(String text) {
    StringBuilder repaired = null;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (!Character.isSurrogate(c)) {
        continue;
      }
      if (Character.isHighSurrogate(c)
          && i + 1 < text.length()
          && Character.isLowSurrogate(text.charAt(i + 1))) {
        i++;
      } else {
        repaired = repaired == null ? new StringBuilder(text) : repaired;
        repaired.setCharAt(i, '\uFFFD');
      }
    }
    return repaired == null ? text : repaired.toString();
  }

  @Override
  public String piece(int token) {
    return vocabulary.piece(token);
  }

  @Override
  public byte[] bytes(int token) {
    return vocabulary.bytes(token).clone();
  }

  @Override
  public boolean isSpecial(int token) {
    return vocabulary.isSpecial(token);
  }

  @Override
  public String decode(int[] tokens, boolean skipSpecial) {
    TokenStream stream = stream(skipSpecial);
    StringBuilder text = new StringBuilder();
    Arrays.stream(tokens).forEach(token -> text.append(stream.append(token)));
    return text.append(stream.flush()).toString();
  }

  @Override
  public TokenStream stream(boolean skipSpecial) {
    return new Utf8TokenStream(vocabulary, skipSpecial, stages.leadingSpace());
  }

  @Override
  public TokenStream continuation(boolean skipSpecial) {
    return new Utf8TokenStream(vocabulary, skipSpecial, false);
  }

  @Override
  public OptionalInt beginOfSequence() {
    return stages.beginOfSequence();
  }

  @Override
  public OptionalInt endOfSequence() {
    return stages.endOfSequence();
  }

  @Override
  public Set<Integer> endOfGeneration() {
    return stages.endOfGeneration();
  }
}
