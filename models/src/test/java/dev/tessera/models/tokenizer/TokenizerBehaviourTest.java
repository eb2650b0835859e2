package dev.tessera.models.tokenizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.models.gguf.GgufFile;
import dev.tessera.models.testing.ReferenceFiles;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// What real vocabularies must do beyond plain text.
class TokenizerBehaviourTest {
  private static final Tokenizer LLAMA2 = load("llama-spm");
  private static final Tokenizer LLAMA3 = load("llama-bpe");
  private static final Tokenizer PHI3 = load("phi-3");
  private static final Tokenizer QWEN2 = load("qwen2");

  private static Tokenizer load(String vocabulary) {
    try (GgufFile file =
        GgufFile.open(ReferenceFiles.llamaCpp("ggml-vocab-" + vocabulary + ".gguf"))) {
      return Tokenizers.fromGguf(file.metadata());
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void llama3AddsBosThoughTheFileHasNoKeyForIt() {
    assertEquals(OptionalInt.of(128000), LLAMA3.beginOfSequence());
    assertArrayEquals(new int[] {128000, 9906}, LLAMA3.encode("Hello", true, false));
    assertArrayEquals(new int[] {9906}, LLAMA3.encode("Hello", false, false));
    assertArrayEquals(new int[] {128000}, LLAMA3.encode("", true, false));
  }

  @Test
  void qwen2AddsNothing() {
    assertArrayEquals(QWEN2.encode("Hello", false, false), QWEN2.encode("Hello", true, false));
  }

  @Test
  void qwen2ComposesCharactersFirst() {
    assertArrayEquals(
        QWEN2.encode("caf\u00e9", false, false), QWEN2.encode("cafe\u0301", false, false));
  }

  @Test
  void namesOfControlTokensAreTextUnlessAskedFor() {
    int[] parsed = LLAMA3.encode("<|eot_id|>", false, true);
    int[] text = LLAMA3.encode("<|eot_id|>", false, false);
    assertArrayEquals(new int[] {128009}, parsed);
    assertTrue(text.length > 1);
    assertFalse(Arrays.stream(text).anyMatch(LLAMA3::isSpecial));
    assertEquals("<|eot_id|>", LLAMA3.decode(text, true));
    assertEquals("", LLAMA3.decode(parsed, true));
    assertEquals("<|eot_id|>", LLAMA3.decode(parsed, false));
  }

  @Test
  void controlTokensNeverComeOfMergedText() {
    for (Tokenizer tokenizer : List.of(LLAMA2, LLAMA3, PHI3, QWEN2)) {
      for (int id = 0; id < tokenizer.vocabularySize(); id++) {
        if (tokenizer.isSpecial(id)) {
          int[] tokens = tokenizer.encode(tokenizer.piece(id), false, false);
          assertTrue(
              Arrays.stream(tokens).noneMatch(tokenizer::isSpecial), () -> Arrays.toString(tokens));
        }
      }
    }
  }

  @Test
  void phi3SpecialsTakeTheWhiteSpaceToTheirRight() {
    int[] expected = PHI3.encode("<|user|>Hi", false, true);
    assertArrayEquals(expected, PHI3.encode("<|user|> \n\t Hi", false, true));
    int[] kept = PHI3.encode("<s> \n Hi", false, true);
    assertTrue(kept.length > PHI3.encode("<s>Hi", false, true).length);
  }

  @Test
  void sentencePiecePutsASpaceBeforeTextAndTakesItAway() {
    int[] tokens = LLAMA2.encode("Hello world", true, false);
    assertArrayEquals(new int[] {1, 15043, 3186}, tokens);
    assertEquals("Hello world", LLAMA2.decode(tokens, true));
    assertEquals("  two", LLAMA2.decode(LLAMA2.encode("  two", false, false), false));
    assertEquals(" world", LLAMA2.continuation(true).append(3186));
    assertEquals("world", LLAMA2.stream(true).append(3186));
  }

  @Test
  void whatNoTokenCoversFallsBackToBytes() {
    int[] tokens = LLAMA2.encode("\u0001\uE000", false, false);
    assertEquals("\u0001\uE000", LLAMA2.decode(tokens, false));
    assertArrayEquals(new byte[] {0x0A}, LLAMA2.bytes(13));
  }

  @Test
  void streamsNeverEmitHalfACharacter() {
    String text = "naïve 👩‍👩‍👧‍👦 漢字 \u0000 한국어 \uD835\uDD38!";
    for (Tokenizer tokenizer : List.of(LLAMA2, LLAMA3, PHI3, QWEN2)) {
      int[] tokens = tokenizer.encode(text, false, false);
      TokenStream stream = tokenizer.stream(false);
      StringBuilder together = new StringBuilder();
      boolean held = false;
      for (int token : tokens) {
        String part = stream.append(token);
        assertFalse(part.contains("\uFFFD"), part);
        assertTrue(part.isEmpty() || !Character.isHighSurrogate(part.charAt(part.length() - 1)));
        held |= part.isEmpty();
        together.append(part);
      }
      assertTrue(held, "some token must have been half a character");
      assertEquals("", stream.flush());
      assertEquals(text, together.toString());
    }
  }

  @Test
  void brokenBytesBecomeReplacementCharactersInTheStreamAsInDecode() {
    int[] family = LLAMA3.encode("👩", false, false);
    int[] broken = Arrays.copyOf(family, family.length - 1);
    TokenStream stream = LLAMA3.stream(false);
    StringBuilder text = new StringBuilder();
    for (int token : broken) {
      text.append(stream.append(token));
    }
    text.append(stream.flush());
    assertEquals("\uFFFD", text.toString());
    assertEquals("\uFFFD", LLAMA3.decode(broken, false));
    int[] followed = Arrays.copyOf(broken, broken.length + 1);
    followed[broken.length] = LLAMA3.encode("x", false, false)[0];
    assertEquals("\uFFFDx", LLAMA3.decode(followed, false));
  }

  @Test
  void halfASurrogatePairIsAReplacementCharacter() {
    assertArrayEquals(
        LLAMA3.encode("a\uFFFDb\uFFFD", false, false),
        LLAMA3.encode("a\uD800b\uDC00", false, false));
  }

  @Test
  void knowsTheTokensThatEndAGeneration() {
    assertEquals(Set.of(128001, 128009), LLAMA3.endOfGeneration());
    assertEquals(Set.of(2), LLAMA2.endOfGeneration());
    assertTrue(PHI3.endOfGeneration().containsAll(Set.of(32000, 32007)));
    assertTrue(QWEN2.endOfGeneration().containsAll(Set.of(151643, 151645)));
  }

  @Test
  void piecesAndBytesAreThoseOfTheVocabulary() {
    assertEquals("Ġworld", LLAMA3.piece(1917));
    assertArrayEquals(" world".getBytes(StandardCharsets.UTF_8), LLAMA3.bytes(1917));
    assertThrows(IllegalArgumentException.class, () -> LLAMA3.piece(128256));
    assertThrows(IllegalArgumentException.class, () -> LLAMA3.bytes(-1));
  }

  /// Merging that looked at all pairs for every merge would take hours for these.
  @ParameterizedTest
  @ValueSource(
      strings = {"a", " ", "\n", "7", "A", "'", "<", "\u0301\u0316", "\uE000", "\u2581", " x"})
  @Timeout(120)
  void aMegabyteOfOneThingTakesNoQuadraticTime(String unit) {
    String text = unit.repeat(1_000_000 / unit.length());
    for (Tokenizer tokenizer : List.of(LLAMA2, LLAMA3, QWEN2)) {
      int[] tokens = tokenizer.encode(text, false, true);
      assertTrue(tokens.length > 0);
    }
  }

  /// Compatibility composition makes eighteen characters of one.
  @Test
  void aFloodThatGrowsWhenItIsNormalisedFitsTheHeap() {
    int[] tokens = load("nomic-bert-moe").encode("\uFDFA".repeat(1_000_000), false, true);
    assertEquals(4_000_000, tokens.length);
  }

  /// Each of them takes some 250 MB while its one long word is merged.
  @Test
  void manyFloodsAtOnceFitTheHeap() throws Exception {
    String flood = "\u4E2D".repeat(2_000_000);
    try (ExecutorService threads = Executors.newFixedThreadPool(8)) {
      List<Callable<Integer>> tasks =
          java.util.Collections.nCopies(8, () -> QWEN2.encode(flood, false, false).length);
      for (Future<Integer> done : threads.invokeAll(tasks)) {
        assertTrue(done.get() > 0);
      }
    }
  }

  @Test
  void manyThreadsGetTheSameTokens() throws Exception {
    List<String> texts = MixedText.segments().subList(0, 60);
    List<int[]> alone = texts.stream().map(text -> QWEN2.encode(text, false, false)).toList();
    try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
      List<Callable<Void>> tasks = new ArrayList<>();
      for (int thread = 0; thread < 4; thread++) {
        tasks.add(
            () -> {
              for (int i = 0; i < texts.size(); i++) {
                assertArrayEquals(alone.get(i), QWEN2.encode(texts.get(i), false, false));
              }
              return null;
            });
      }
      for (Future<Void> done : threads.invokeAll(tasks)) {
        done.get();
      }
    }
  }
}
