package dev.tessera.models.tokenizer;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Random;

/// Over a megabyte of text made from a seed: sentences and code in many scripts, whole and torn
/// apart, between runs of spaces, newlines, digits, control characters, combining marks and
/// characters drawn from all over Unicode. The reference tokens in the resources are of this text.
///
/// `java MixedText FILE` writes it for the reference tokenizers, a record separator behind every
/// segment.
final class MixedText {
  static final String SEPARATOR = "\u001e\n";

  private static final long SEED = 20240229;
  private static final int BYTES = 1_150_000;
  private static final int SEGMENT_BYTES = 1000;

  /// Ranges whose characters have had their properties for so long that every reference agrees.
  private static final int[][] RANGES = {
    {0x20, 0x7E},
    {0xA0, 0x24F},
    {0x250, 0x2AF},
    {0x2B0, 0x2FF},
    {0x300, 0x36F},
    {0x391, 0x3A1},
    {0x3A3, 0x3CE},
    {0x400, 0x481},
    {0x483, 0x487},
    {0x48A, 0x513},
    {0x531, 0x556},
    {0x561, 0x587},
    {0x591, 0x5C7},
    {0x5D0, 0x5EA},
    {0x621, 0x64A},
    {0x64B, 0x65E},
    {0x660, 0x6D3},
    {0x905, 0x939},
    {0x93C, 0x94D},
    {0x958, 0x96F},
    {0x985, 0x98C},
    {0xE01, 0xE3A},
    {0xE40, 0xE5B},
    {0x10D0, 0x10F0},
    {0x1100, 0x1112},
    {0x1161, 0x1175},
    {0x11A8, 0x11C2},
    {0x1200, 0x1248},
    {0x1780, 0x17B3},
    {0x1E00, 0x1E9B},
    {0x1EA0, 0x1EF9},
    {0x1F00, 0x1F15},
    {0x2000, 0x2027},
    {0x202F, 0x2063},
    {0x2070, 0x2071},
    {0x2074, 0x208E},
    {0x20A0, 0x20B5},
    {0x20D0, 0x20DC},
    {0x2100, 0x214B},
    {0x2153, 0x2183},
    {0x2190, 0x23E7},
    {0x2460, 0x26B2},
    {0x2701, 0x2704},
    {0x3000, 0x303F},
    {0x3041, 0x3096},
    {0x3099, 0x30FF},
    {0x3105, 0x312C},
    {0x3400, 0x3410},
    {0x4E00, 0x9FA5},
    {0xAC00, 0xD7A3},
    {0xE000, 0xE010},
    {0xFB00, 0xFB06},
    {0xFE00, 0xFE0F},
    {0xFF01, 0xFF5E},
    {0xFF61, 0xFFBE},
    {0x10400, 0x1044F},
    {0x1D400, 0x1D454},
    {0x1D7CE, 0x1D7FF},
    {0x1F300, 0x1F320},
    {0x1F3FB, 0x1F3FF},
    {0x1F600, 0x1F610},
    {0x20000, 0x20010}
  };

  private static final String[] SPACES = {
    " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\n ", "\r", "\u000B", "\f", "\u00A0",
    "\u3000", "\u2003", "\u2028", "\u0085"
  };

  private final Random random = new Random(SEED);
  private final List<String> lines;
  private final List<String> words = new ArrayList<>();

  private MixedText() {
    try (InputStream samples = MixedText.class.getResourceAsStream("mixed-samples.txt")) {
      byte[] bytes = Objects.requireNonNull(samples, "mixed-samples.txt").readAllBytes();
      lines = new String(bytes, StandardCharsets.UTF_8).lines().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    for (String line : lines) {
      words.addAll(List.of(line.strip().split(" ")));
    }
  }

  static List<String> segments() {
    MixedText text = new MixedText();
    List<String> segments = new ArrayList<>(text.lines);
    int bytes = 0;
    while (bytes < BYTES) {
      String segment = text.segment();
      segments.add(segment);
      bytes += segment.getBytes(StandardCharsets.UTF_8).length;
    }
    return List.copyOf(segments);
  }

  private String segment() {
    StringBuilder segment = new StringBuilder();
    int kind = random.nextInt(8);
    while (segment.toString().getBytes(StandardCharsets.UTF_8).length < SEGMENT_BYTES) {
      switch (kind) {
        case 0, 1 -> segment.append(any(lines)).append(random.nextInt(3) == 0 ? "\r\n" : "\n");
        case 2 -> segment.append(any(words)).append(' ');
        case 3 -> segment.append(any(words)).append(space());
        case 4 -> segment.append(torn(any(lines)));
        case 5 -> segment.append(scattered());
        case 6 -> segment.append(any(words)).append(number()).append(space());
        default -> oneOfAll(segment);
      }
    }
    return segment.toString();
  }

  private void oneOfAll(StringBuilder segment) {
    switch (random.nextInt(9)) {
      case 0 -> segment.append(any(lines));
      case 1 -> segment.append(any(words).toUpperCase(Locale.ROOT));
      case 2 -> segment.append(torn(any(words)));
      case 3 -> segment.append(scattered());
      case 4 -> segment.append(number());
      case 5 -> segment.append((char) random.nextInt(0x20)).append(any(words));
      case 6 -> segment.append("\u007F").append(any(words)).append("\uFEFF");
      case 7 -> segment.append("!?.,;:-_'\"()[]{}<>/\\|@#$%^&*+=~`", random.nextInt(20), 32);
      default -> segment.append(space().repeat(1 + random.nextInt(12)));
    }
  }

  private String any(List<String> choices) {
    return choices.get(random.nextInt(choices.size()));
  }

  private String space() {
    // Plain ones are the most frequent in text, too.
    int bound = random.nextInt(4) == 0 ? SPACES.length : 9;
    return SPACES[random.nextInt(bound)].repeat(random.nextInt(6) == 0 ? random.nextInt(40) : 1);
  }

  private String number() {
    StringBuilder number = new StringBuilder();
    int digits = 1 + random.nextInt(random.nextInt(5) == 0 ? 40 : 6);
    for (int i = 0; i < digits; i++) {
      number.append((char) ('0' + random.nextInt(10)));
    }
    return number.toString();
  }

  /// A part of the text, cut between any two characters.
  private String torn(String text) {
    int[] characters = text.codePoints().toArray();
    if (characters.length == 0) {
      return "";
    }
    int from = random.nextInt(characters.length);
    return new String(characters, from, 1 + random.nextInt(characters.length - from));
  }

  /// Characters from one range, or from all.
  private String scattered() {
    StringBuilder text = new StringBuilder();
    int range = random.nextInt(RANGES.length);
    boolean mixed = random.nextInt(3) == 0;
    int length = 1 + random.nextInt(12);
    for (int i = 0; i < length; i++) {
      int[] chosen = RANGES[mixed ? random.nextInt(RANGES.length) : range];
      int character = chosen[0] + random.nextInt(chosen[1] - chosen[0] + 1);
      if (Character.isDefined(character)) {
        text.appendCodePoint(character);
      }
    }
    return text.append(random.nextInt(3) == 0 ? " " : "").toString();
  }

  public static void main(String[] arguments) throws IOException {
    Files.writeString(Path.of(arguments[0]), String.join(SEPARATOR, segments()));
  }
}
