package dev.tessera.server.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Text with stop strings, against a reader of single characters.
final class StopStringsTest {
  private static final String[] LETTERS = {"a", "b", "é", "世", "👩", "\u200d"};

  /// What a reader sees who reads character by character and stops at the first match.
  private static String read(String text, List<String> stops, boolean include) {
    for (int end = 1; end <= text.length(); end++) {
      String best = "";
      for (String stop : stops) {
        if (text.substring(0, end).endsWith(stop) && stop.length() > best.length()) {
          best = stop;
        }
      }
      if (!best.isEmpty()) {
        return text.substring(0, include ? end : end - best.length());
      }
    }
    return text;
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
  void doesNotDependOnHowTheTextIsCut(long seed) {
    var random = new SplittableRandom(seed);
    for (int round = 0; round < 2000; round++) {
      String text = word(random, random.nextInt(30));
      List<String> stops = new ArrayList<>();
      for (int i = random.nextInt(4); i >= 0; i--) {
        stops.add(word(random, 1 + random.nextInt(4)));
      }
      boolean include = random.nextBoolean();
      var assembler =
          new TextAssembler(new FakeTokenizer().stream(true), new StopStrings(stops), include, 0);
      StringBuilder shown = new StringBuilder();
      String expected = read(text, stops, include);
      for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
        shown.append(assembler.append(b & 0xff));
        assertTrue(expected.startsWith(shown.toString()), "shown too much: " + shown);
        if (assembler.stopString() != null) {
          break;
        }
      }
      shown.append(assembler.finish());
      assertEquals(expected, shown.toString(), () -> "text " + text + ", stops " + stops);
    }
  }

  private static String word(SplittableRandom random, int length) {
    StringBuilder word = new StringBuilder();
    for (int i = 0; i < length; i++) {
      word.append(LETTERS[random.nextInt(LETTERS.length)]);
    }
    return word.toString();
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3, 4})
  void stopStringsWithinTheLeastTokensArePlainText(int minTokens) {
    var assembler =
        new TextAssembler(
            new FakeTokenizer().stream(true), new StopStrings(List.of("ab")), false, minTokens);
    StringBuilder shown = new StringBuilder();
    for (byte b : "abab".getBytes(StandardCharsets.US_ASCII)) {
      shown.append(assembler.append(b));
    }
    shown.append(assembler.finish());
    assertEquals(minTokens <= 2 ? "" : "ab", shown.toString());
  }
}
