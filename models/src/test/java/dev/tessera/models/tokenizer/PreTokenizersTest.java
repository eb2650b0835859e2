package dev.tessera.models.tokenizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.models.ModelFormatException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PreTokenizersTest {

  @Test
  void gpt2KeepsASpaceWithTheWordBehindIt() throws Exception {
    assertEquals(List.of("Hello", " world", "!!", "  ", " x"), words("gpt-2", "Hello world!!   x"));
    assertEquals(
        List.of("I", "'ve", " '", "VE", " we", "'ll", "'", "l"),
        words("gpt-2", "I've 'VE we'll'l"));
    assertEquals(
        List.of("a", "1234", " 5", "\n\n", "\n", "b", " \n"), words("gpt-2", "a1234 5\n\n\nb \n"));
  }

  @Test
  void smollmTakesEveryDigitAlone() throws Exception {
    assertEquals(List.of("a", "1", "2", " ", "3", "x", "½"), words("smollm", "a12 3x½"));
  }

  @Test
  void llama3GroupsThreeDigitsAndIgnoresTheCaseOfContractions() throws Exception {
    assertEquals(List.of("123", "456", "7"), words("llama-bpe", "1234567"));
    assertEquals(List.of("WE", "'LL", " it", "'ſ"), words("llama-bpe", "WE'LL it'ſ"));
    assertEquals(List.of("(word", ")", " \n\n", " ", " x"), words("llama-bpe", "(word) \n\n  x"));
    assertEquals(List.of("!!\r\n", "\tx", "\t", "1"), words("llama-bpe", "!!\r\n\tx\t1"));
  }

  @Test
  void qwen2TakesEveryDigitAlone() throws Exception {
    assertEquals(List.of("x", "1", "2", " y", "!"), words("qwen2", "x12 y!"));
  }

  @Test
  void qwen35CountsMarksAsLetters() throws Exception {
    assertEquals(List.of("e\u0301a", " ", "1"), words("qwen35", "e\u0301a 1"));
    assertEquals(List.of("e", "\u0301a"), words("qwen2", "e\u0301a"));
  }

  @Test
  void tekkenBreaksWordsWhereCaseChanges() throws Exception {
    assertEquals(List.of("camel", "Case", "HTTPServer"), words("tekken", "camelCaseHTTPServer"));
    assertEquals(List.of("ABC", " DEFʰ", "XY"), words("tekken", "ABC DEFʰXY"));
    assertEquals(List.of("a", "//\n", "1", "2"), words("tekken", "a//\n12"));
    assertEquals(List.of("日本", " Ñandú"), words("tekken", "日本 Ñandú"));
  }

  @Test
  void gpt4oKeepsContractionsWithTheirWord() throws Exception {
    assertEquals(List.of("they'll", " go"), words("gpt-4o", "they'll go"));
    assertEquals(List.of("DON'T", " ", "123", "4"), words("gpt-4o", "DON'T 1234"));
  }

  @Test
  void deepseekCutsNewlinesLettersPunctuationAndIdeographs() throws Exception {
    assertEquals(
        List.of("a", "\n", "\n", " b", " ...", " ", "日本", "12", "  "),
        words("deepseek-llm", "a\n\n b ... 日本12  "));
    assertEquals(List.of("a", "1", "2", " b", "$"), words("deepseek-coder", "a12 b$"));
  }

  @Test
  void deepseekV3KeepsAnAsciiSymbolWithLetters() throws Exception {
    assertEquals(
        List.of(".method", "(arg", ",", " x", ")\n", "123", "4", "漢字"),
        words("deepseek-v3", ".method(arg, x)\n1234漢字"));
  }

  @Test
  void falconSplitsRunsOfPunctuationAndTriplesOfDigits() throws Exception {
    assertEquals(List.of("a", "+=", "123", "4", ";"), words("falcon", "a+=1234;"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "gpt-2",
        "smollm",
        "llama-bpe",
        "qwen2",
        "qwen35",
        "tekken",
        "gpt-4o",
        "deepseek-llm",
        "deepseek-coder",
        "deepseek-v3",
        "falcon",
        "default"
      })
  void losesNothingAndNeverStops(String name) throws Exception {
    Random random = new Random(7);
    String alphabet = " \n\r\t'aAbsSéʰ\u0301.,!/$漢한1٣½\u0000\u3000\uD83D\uDE00";
    int[] characters = alphabet.codePoints().toArray();
    for (int round = 0; round < 2000; round++) {
      StringBuilder text = new StringBuilder();
      for (int i = random.nextInt(24); i >= 0; i--) {
        text.appendCodePoint(characters[random.nextInt(characters.length)]);
      }
      List<String> words = words(name, text.toString());
      assertEquals(text.toString(), String.join("", words));
      assertTrue(words.stream().noneMatch(String::isEmpty));
    }
  }

  @Test
  void recognisesPatternsByTheirText() throws Exception {
    String regex =
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
            + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    assertEquals(1, PreTokenizers.pattern(regex).end("1234", 0, 4));
  }

  @ParameterizedTest
  @CsvSource({"no-such, 'no-such'", "'line\nbreak', 'line'"})
  void refusesWhatItDoesNotKnowByName(String name, String named) {
    ModelFormatException unknown =
        assertThrows(ModelFormatException.class, () -> PreTokenizers.named(name));
    assertTrue(unknown.getMessage().contains(named), unknown.getMessage());
    assertEquals(1, unknown.getMessage().lines().count());
    assertThrows(ModelFormatException.class, () -> PreTokenizers.pattern(name));
  }

  private static List<String> words(String name, String text) throws ModelFormatException {
    List<String> words = new ArrayList<>();
    PreTokenizers.named(name)
        .split(text, 0, text.length(), (from, to) -> words.add(text.substring(from, to)));
    return words;
  }
}
