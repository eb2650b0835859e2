package dev.tessera.models.calibration;

import dev.tessera.models.tokenizer.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/// A text in which facts are stated once, and asked for again behind other text, in another order.
///
/// @param tokens the whole text, answers included
/// @param answers for each question, where in `tokens` its answer lies
public record RetrievalText(int[] tokens, List<Answer> answers) {

  /// @param start index of the first token
  /// @param end behind the last
  public record Answer(int start, int end) {}

  /// How the facts are put.
  ///
  /// @param preamble text before them: longer than a block, where the first block stays exact
  /// @param statement of a fact up to its code, with `%s` for the name; also the question
  /// @param interlude text between the filler and the questions
  /// @param names one for each fact
  public record Wording(String preamble, String statement, String interlude, List<String> names) {}

  private record Fact(String question, String code) {}

  /// @param filler what lies between the facts and the questions
  /// @param fillerTokens of it that are used
  /// @param seed of the codes, of four digits, and of both orders
  public static RetrievalText of(
      Tokenizer tokenizer, Wording wording, String filler, int fillerTokens, long seed) {
    var random = new Random(seed);
    List<Fact> facts = new ArrayList<>();
    for (String name : wording.names()) {
      facts.add(
          new Fact(wording.statement().formatted(name), "%04d".formatted(random.nextInt(10_000))));
    }
    Collections.shuffle(facts, random);
    var text = new StringBuilder(wording.preamble());
    facts.forEach(fact -> text.append("%s %s.\n".formatted(fact.question, fact.code)));
    List<int[]> parts = new ArrayList<>();
    parts.add(tokenizer.encode(text.append('\n').toString(), true, false));
    int[] between = tokenizer.encode(filler, false, false);
    parts.add(Arrays.copyOf(between, Math.min(fillerTokens, between.length)));
    parts.add(tokenizer.encode(wording.interlude(), false, false));

    Collections.shuffle(facts, random);
    List<Answer> answers = new ArrayList<>();
    int at = parts.stream().mapToInt(part -> part.length).sum();
    for (Fact fact : facts) {
      for (String part : List.of(fact.question, " " + fact.code, ".\n")) {
        int[] tokens = tokenizer.encode(part, false, false);
        parts.add(tokens);
        if (part.endsWith(fact.code)) {
          answers.add(new Answer(at, at + tokens.length));
        }
        at += tokens.length;
      }
    }
    return new RetrievalText(parts.stream().flatMapToInt(IntStream::of).toArray(), answers);
  }
}
