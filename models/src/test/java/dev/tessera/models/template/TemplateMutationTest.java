package dev.tessera.models.template;

import static org.junit.jupiter.api.Assertions.fail;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// Valid templates, damaged: pieces taken out, put in from elsewhere, and exchanged.
class TemplateMutationTest {
  private static final int TEMPLATES = 8_000;
  private static final ZonedDateTime NOW =
      ZonedDateTime.of(2025, 3, 9, 14, 5, 7, 0, ZoneOffset.UTC);
  private static final Map<String, Object> VARIABLES =
      Map.of(
          "l",
          List.of(1, 2, 3, 4, 5),
          "s",
          "hello",
          "u",
          "añ😀b",
          "d",
          Map.of("k", "v"),
          "people",
          List.of(Map.of("name", "Ann", "age", 30), Map.of("name", "Bo", "age", 25)),
          "big",
          new java.math.BigInteger("12345678901234567890"));

  @Test
  void damagedTemplatesEndInATextOrAnError() throws Exception {
    List<String> sources = lines("constructs.txt");
    List<List<String>> pieces = new ArrayList<>();
    sources.forEach(source -> pieces.add(pieces(source)));
    for (int seed = 0; seed < TEMPLATES; seed++) {
      String template = damaged(pieces, new Random(seed));
      try {
        ChatTemplates.compile(template, null, null, () -> NOW).render(VARIABLES);
      } catch (TemplateException e) {
        // One of the two ends.
      } catch (RuntimeException | Error e) {
        fail("seed " + seed + ": " + template, e);
      }
    }
  }

  private static String damaged(List<List<String>> pieces, Random random) {
    List<String> damaged = new ArrayList<>(anyOf(pieces, random));
    for (int changes = random.nextInt(1, 5); changes > 0 && !damaged.isEmpty(); changes--) {
      int at = random.nextInt(damaged.size());
      String other = anyOf(anyOf(pieces, random), random);
      switch (random.nextInt(3)) {
        case 0 -> damaged.remove(at);
        case 1 -> damaged.add(at, other);
        default -> damaged.set(at, other);
      }
    }
    return String.join("", damaged);
  }

  private static <T> T anyOf(List<T> list, Random random) {
    return list.get(random.nextInt(list.size()));
  }

  /// Words and single characters.
  private static List<String> pieces(String source) {
    List<String> pieces = new ArrayList<>();
    for (int i = 0; i < source.length(); ) {
      int end = i + 1;
      while (Character.isLetterOrDigit(source.charAt(i))
          && end < source.length()
          && Character.isLetterOrDigit(source.charAt(end))) {
        end++;
      }
      pieces.add(source.substring(i, end));
      i = end;
    }
    return pieces;
  }

  private static List<String> lines(String name) throws Exception {
    try (InputStream in = TemplateMutationTest.class.getResourceAsStream(name)) {
      byte[] bytes = Objects.requireNonNull(in, name).readAllBytes();
      return new String(bytes, StandardCharsets.UTF_8).lines().filter(l -> !l.isEmpty()).toList();
    }
  }
}
