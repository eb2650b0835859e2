package dev.tessera.models.tokenizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.models.ModelFormatException;
import dev.tessera.models.gguf.Metadata;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

/// GGUF metadata that lies: one clear line, or what llama.cpp does.
class DamagedVocabularyTest {

  /// A byte-level vocabulary of five tokens.
  private static Map<String, Object> bytePairs() {
    Map<String, Object> values = new HashMap<>();
    values.put("tokenizer.ggml.model", "gpt2");
    values.put("tokenizer.ggml.pre", "gpt-2");
    values.put("tokenizer.ggml.tokens", new String[] {"a", "b", "ab", "<s>", "<u>"});
    values.put("tokenizer.ggml.token_type", new long[] {1, 1, 1, 3, 4});
    values.put("tokenizer.ggml.merges", new String[] {"a b"});
    return values;
  }

  private static Map<String, Object> sentencePiece() {
    Map<String, Object> values = new HashMap<>();
    values.put("tokenizer.ggml.model", "llama");
    values.put("tokenizer.ggml.tokens", new String[] {"<unk>", "<s>", "</s>", "▁", "a", "▁a"});
    values.put("tokenizer.ggml.token_type", new long[] {2, 3, 3, 1, 1, 1});
    values.put("tokenizer.ggml.scores", new double[] {0, 0, 0, -3, -2, -1});
    return values;
  }

  private static Tokenizer read(Map<String, Object> values) throws ModelFormatException {
    return Tokenizers.fromGguf(new Metadata(values));
  }

  private static void refuses(Map<String, Object> values, String... said) {
    String message = assertThrows(ModelFormatException.class, () -> read(values)).getMessage();
    for (String part : said) {
      assertTrue(message.contains(part), message);
    }
    assertEquals(1, message.lines().count(), message);
  }

  @Test
  void readsTheSoundOnes() throws Exception {
    Tokenizer bytePairs = read(bytePairs());
    assertArrayEquals(new int[] {2, 0}, bytePairs.encode("aba", false, false));
    assertArrayEquals(new int[] {2, 3, 4}, bytePairs.encode("ab<s><u>", false, true));
    Tokenizer sentencePiece = read(sentencePiece());
    assertArrayEquals(new int[] {1, 5, 5}, sentencePiece.encode("a a", true, false));
  }

  @Test
  void userDefinedTokensMatchThoughSpecialOnesDoNot() throws Exception {
    assertArrayEquals(new int[] {4, 0}, read(bytePairs()).encode("<u>a", false, false));
    assertArrayEquals(new int[] {0}, read(bytePairs()).encode("<s>a", false, false));
  }

  @Test
  void refusesATokenThatOccursTwice() {
    Map<String, Object> values = bytePairs();
    values.put("tokenizer.ggml.tokens", new String[] {"a", "b", "ab", "a", "<u>"});
    refuses(values, "'a'", "twice", "0", "3");
  }

  @Test
  void refusesMergesOfUnknownTokens() {
    Map<String, Object> values = bytePairs();
    values.put("tokenizer.ggml.merges", new String[] {"a b", "b\nx a"});
    refuses(values, "merge 1", "not in the vocabulary");
    values.put("tokenizer.ggml.merges", new String[] {"ab"});
    refuses(values, "merges", "'ab'");
    values.put("tokenizer.ggml.merges", new String[] {"", "a "});
    refuses(values, "merges");
    values.remove("tokenizer.ggml.merges");
    refuses(values, "merges is missing");
  }

  @Test
  void refusesTooFewScoresOrTypes() {
    Map<String, Object> values = sentencePiece();
    values.put("tokenizer.ggml.scores", new double[] {0, 0});
    refuses(values, "scores", "2", "6");
    values.put("tokenizer.ggml.scores", new double[] {0, 0, 0, Double.NaN, 0, 0});
    refuses(values, "scores", "token 3", "NaN");
    values.put("tokenizer.ggml.token_type", new long[] {1});
    refuses(values, "token_type", "1", "6");
  }

  @Test
  void withoutTypesAllTokensAreText() throws Exception {
    Map<String, Object> values = bytePairs();
    values.remove("tokenizer.ggml.token_type");
    assertArrayEquals(new int[] {2}, read(values).encode("ab", false, true));
  }

  @Test
  void refusesSpecialTokensOutsideTheVocabulary() throws Exception {
    for (long id : new long[] {5, -2, Long.MAX_VALUE, 1L << 32}) {
      Map<String, Object> values = bytePairs();
      values.put("tokenizer.ggml.bos_token_id", id);
      refuses(values, "bos_token_id", "5 tokens");
    }
    Map<String, Object> none = bytePairs();
    none.put("tokenizer.ggml.bos_token_id", -1L);
    assertEquals(OptionalInt.empty(), read(none).beginOfSequence());
    none.put("tokenizer.ggml.add_bos_token", true);
    refuses(none, "add_bos_token", "bos_token_id");
  }

  @Test
  void refusesUnknownKindsByName() {
    Map<String, Object> values = bytePairs();
    values.put("tokenizer.ggml.model", "bert\nforged line");
    refuses(values, "bert");
    values.put("tokenizer.ggml.model", "gpt2");
    values.put("tokenizer.ggml.pre", "unheard-of");
    refuses(values, "unheard-of");
  }

  @Test
  void refusesAbsurdPiecesAndEmptyVocabularies() {
    Map<String, Object> values = bytePairs();
    values.put("tokenizer.ggml.tokens", new String[] {"a", "b", "ab", "<s>", "x".repeat(5000)});
    refuses(values, "token 4", "5,000");
    values.put("tokenizer.ggml.tokens", new String[0]);
    refuses(values, "tokens is empty");
    values.remove("tokenizer.ggml.tokens");
    refuses(values, "tokens is missing");
    values.put("tokenizer.ggml.tokens", "text");
    refuses(values, "tokens", "String");
  }

  @Test
  void namesEmptyTokens() throws Exception {
    Map<String, Object> values = bytePairs();
    values.put("tokenizer.ggml.tokens", new String[] {"a", "b", "ab", "", ""});
    assertEquals("[EMPTY_3]", read(values).piece(3));
  }

  @Test
  void refusesABrokenCharacterMap() {
    Map<String, Object> values = sentencePiece();
    values.put("tokenizer.ggml.model", "t5");
    for (long[] map : new long[][] {{}, {1, 2}, {-1, -1, -1, -1}, {4, 0, 0, 0, 1, 2, 3}}) {
      values.put("tokenizer.ggml.precompiled_charsmap", map);
      refuses(values, "precompiled_charsmap");
    }
    values.put("tokenizer.ggml.precompiled_charsmap", new long[] {4, 0, 0, 0, 1, 2, 3, 4, 65});
    refuses(values, "precompiled_charsmap");
  }
}
