package dev.tessera.server.eval;

import dev.tessera.models.calibration.RetrievalText;
import dev.tessera.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/// The bundled texts: prose (the annual messages of 1962 and 1975), sources of this project,
/// tables, and access codes that are asked for again behind 400 tokens of another message. None of
/// them is a text that calibration learns from.
final class EvaluationTexts {

  private static final int FILLER_TOKENS = 400;
  private static final int PASS_KEYS = 10;

  private static final RetrievalText.Wording CODES =
      new RetrievalText.Wording(
          """
          This file holds the access codes of all the people who work in the building on the river. \
          Every person has one code of four digits. The codes are secret and must be kept in this \
          list only. Please read the list with care, because every code will be asked for once more \
          below, in a different order, after a few pages of other text. The list begins here.

          """,
          "The access code of %s is",
          "\n\nNow the access codes are asked for once more.\n\n",
          List.of(
              "Alice", "Robert", "Carol", "David", "Emma", "Frank", "Grace", "Henry", "Irene",
              "Jack", "Karen", "Louis", "Maria", "Nancy", "Oscar", "Paul", "Rachel", "Simon",
              "Teresa", "Victor", "Walter", "Anna", "Brian", "Claire", "Daniel", "Elena", "Felix",
              "George", "Helen", "Ivan", "Julia", "Kevin", "Laura", "Martin", "Nora", "Oliver",
              "Peter", "Rosa", "Samuel", "Thomas"));

  private EvaluationTexts() {}

  /// @param context tokens of the prose; half as many of the code
  /// @param tables whether to read tables too
  /// @param seeds retrieval texts
  static List<EvaluationText> of(Tokenizer tokenizer, int context, boolean tables, int seeds) {
    List<EvaluationText> texts = new ArrayList<>();
    texts.add(continued(tokenizer, "prose", context));
    texts.add(continued(tokenizer, "code", context / 2));
    if (tables) {
      texts.add(continued(tokenizer, "tables", context / 2));
    }
    String filler = read("filler.txt");
    for (int seed = 0; seed < seeds; seed++) {
      texts.add(
          EvaluationText.asked(
              EvaluationText.FACTS + " " + (seed + 1),
              RetrievalText.of(
                  tokenizer, CODES, filler.substring(3000 * seed), FILLER_TOKENS, 7 + seed)));
    }
    return texts;
  }

  /// Pass keys at ten depths of prose, and a list that is repeated whole.
  static List<EvaluationText> tasks(Tokenizer tokenizer, int context) {
    return List.of(passKeys(tokenizer, context), list(tokenizer));
  }

  /// Stretches of prose and code for the model to go on with, evenly spread over the texts.
  static List<EvaluationText> prompts(Tokenizer tokenizer, int count, int tokens) {
    int[] begin = tokenizer.encode("", true, false);
    int[] all =
        tokenizer.encode(read("prose.txt") + read("code.txt") + read("filler.txt"), false, false);
    int length = Math.min(tokens, all.length) - begin.length;
    List<EvaluationText> prompts = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int from = count == 1 ? 0 : (int) ((long) i * (all.length - length) / (count - 1));
      int[] prompt = Arrays.copyOf(begin, begin.length + length);
      System.arraycopy(all, from, prompt, begin.length, length);
      prompts.add(new EvaluationText("prompt " + (i + 1), prompt, new int[0], List.of()));
    }
    return prompts;
  }

  private static EvaluationText passKeys(Tokenizer tokenizer, int context) {
    var random = new Random(11);
    int[] prose = tokenizer.encode(read("filler.txt"), true, false);
    int stretch = Math.min(prose.length, context) / (PASS_KEYS + 1);
    var text = new Answers(tokenizer);
    List<String> codes = new ArrayList<>();
    for (int i = 0; i <= PASS_KEYS; i++) {
      text.add(Arrays.copyOfRange(prose, i * stretch, (i + 1) * stretch));
      if (i < PASS_KEYS) {
        codes.add("%05d".formatted(random.nextInt(100_000)));
        text.add("\nThe pass key of door " + (i + 1) + " is " + codes.get(i) + ". Remember it.\n");
      }
    }
    for (int i = PASS_KEYS; i-- > 0; ) {
      text.add("\nThe pass key of door " + (i + 1) + " is");
      text.answer(" " + codes.get(i));
      text.add(".");
    }
    return text.asked("passkey");
  }

  private static EvaluationText list(Tokenizer tokenizer) {
    var random = new Random(12);
    List<String> words = new ArrayList<>();
    for (String word : CODES.names()) {
      words.add(" " + word + " " + (10 + random.nextInt(90)));
    }
    Collections.shuffle(words, random);
    var text = new Answers(tokenizer);
    text.add(CODES.preamble() + "The whole list, to be learned by heart:\n");
    words.forEach(word -> text.add(word + ","));
    int[] filler = tokenizer.encode("\n\n" + read("filler.txt"), false, false);
    text.add(Arrays.copyOf(filler, Math.min(FILLER_TOKENS, filler.length)));
    text.add("\n\nThe whole list, to be learned by heart:\n");
    for (String word : words) {
      text.answer(word);
      text.add(",");
    }
    return text.asked("list");
  }

  /// A text in the making.
  private static final class Answers {
    private final Tokenizer tokenizer;
    private final List<int[]> parts = new ArrayList<>();
    private final List<RetrievalText.Answer> answers = new ArrayList<>();
    private int length;

    Answers(Tokenizer tokenizer) {
      this.tokenizer = tokenizer;
    }

    void add(int[] tokens) {
      parts.add(tokens);
      length += tokens.length;
    }

    void add(String text) {
      add(tokenizer.encode(text, length == 0, false));
    }

    void answer(String text) {
      int start = length;
      add(text);
      answers.add(new RetrievalText.Answer(start, length));
    }

    EvaluationText asked(String name) {
      int[] tokens = parts.stream().flatMapToInt(Arrays::stream).toArray();
      return EvaluationText.asked(name, new RetrievalText(tokens, answers));
    }
  }

  private static EvaluationText continued(Tokenizer tokenizer, String name, int most) {
    int[] tokens = tokenizer.encode(read(name + ".txt"), true, false);
    return EvaluationText.continued(name, Arrays.copyOf(tokens, Math.min(most, tokens.length)));
  }

  private static String read(String name) {
    try (InputStream in = EvaluationTexts.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new IllegalStateException("the evaluation text " + name + " is not in the build");
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
