package dev.tessera.server.eval;

import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.Heat;
import dev.tessera.kvcache.TileShape;
import dev.tessera.server.eval.TeacherForcing.Part;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/// Which blocks should cool where half of those that may are enough: the oldest, or those that got
/// the least attention, as a cache by temperature chooses.
///
/// A text is read over exact tiles, its last tokens before the rows that count one by one, which
/// warms blocks as the engine does. Then half of the blocks that are old enough are read in the
/// form that their age allows, and the others exact.
final class CoolingOrders {

  private static final int BLOCK = TileShape.BLOCK_TOKENS;
  private static final int CHUNK = 256;

  /// Tokens that are read one by one.
  private static final int HEARD = 256;

  private final List<EvaluationText> texts;
  private final TeacherForcing reader;
  private final CooledForms forms;
  private final Differences differences;

  /// Compares predictions with those over exact tiles.
  @FunctionalInterface
  interface Differences {

    /// @param text which of them
    /// @param first index into the text's rows
    /// @param logits `[rows][vocabulary]`
    List<RowDifference> of(int text, int first, float[][] logits);
  }

  /// @param forms that were announced to the session
  CoolingOrders(
      List<EvaluationText> texts,
      DecoderSession session,
      CooledForms forms,
      Differences differences) {
    this.texts = texts;
    this.reader = new TeacherForcing(session, forms);
    this.forms = forms;
    this.differences = differences;
  }

  /// A block of a group that may cool.
  private record Candidate(int group, int block, int form, float heat) {}

  /// Continued texts and those in which something is asked for, apart: where nobody has asked yet,
  /// attention does not show what will be wanted. Texts in which too few blocks may cool are left
  /// out.
  List<Deeper.Orders> measure() {
    return Stream.of(measure("continued", false), measure("asked", true))
        .flatMap(Optional::stream)
        .toList();
  }

  private Optional<Deeper.Orders> measure(String name, boolean isRetrieval) {
    List<RowDifference> all = new ArrayList<>();
    List<RowDifference> byAge = new ArrayList<>();
    List<RowDifference> byHeat = new ArrayList<>();
    for (int i = 0; i < texts.size(); i++) {
      EvaluationText text = texts.get(i);
      int from = from(text);
      if (text.isRetrieval() != isRetrieval || from < HEARD + BLOCK) {
        continue;
      }
      List<Candidate> oldest = warm(text, from);
      List<Candidate> coldest =
          oldest.stream().sorted(Comparator.comparingDouble(Candidate::heat)).toList();
      int half = oldest.size() / 2;
      if (half > 0) {
        all.addAll(read(i, text, from, oldest));
        byAge.addAll(read(i, text, from, oldest.subList(0, half)));
        byHeat.addAll(read(i, text, from, coldest.subList(0, half)));
      }
    }
    return all.isEmpty()
        ? Optional.empty()
        : Optional.of(new Deeper.Orders(name, mean(all), mean(byAge), mean(byHeat)));
  }

  /// Where the rows begin that count: with the first question, or with the text's last quarter.
  private static int from(EvaluationText text) {
    int row = text.isRetrieval() ? text.rows()[0] : text.tokens().length * 3 / 4;
    return row / BLOCK * BLOCK;
  }

  /// Reads a text up to the rows that count.
  ///
  /// @return what may cool there, the oldest first
  private List<Candidate> warm(EvaluationText text, int from) {
    int groups = forms.groups().size();
    int blocks = from / BLOCK;
    var exactly = new int[groups][0];
    var heats = new Heat[groups][blocks];
    for (Heat[] group : heats) {
      for (int block = 0; block < blocks; block++) {
        group[block] = new Heat();
        group[block].begin(0);
      }
    }
    int[] made = new int[Part.blocks(text)];
    var unwatched = new EvaluationText(text.name(), text.tokens(), new int[0], List.of());
    reader.read(
        unwatched,
        new Part(0, from - HEARD, made),
        CHUNK,
        exactly,
        (first, logits) -> {},
        (first, last) -> {});
    reader.hear(
        unwatched,
        new Part(from - HEARD, from, made),
        Heat.MEASURED_STEPS,
        (step, group, shares) -> {
          for (int block = 0; block < shares.length; block++) {
            heats[group][block].add(shares[block], step);
          }
        });
    return IntStream.range(0, blocks)
        .boxed()
        .flatMap(
            block ->
                IntStream.range(0, groups)
                    .filter(group -> !forms.of(group).isEmpty())
                    .mapToObj(
                        group ->
                            new Candidate(
                                group,
                                block,
                                forms.form(group, blocks, block),
                                heats[group][block].at(HEARD))))
        .filter(candidate -> candidate.form > BlockRef.EXACT)
        .toList();
  }

  /// Reads the rows that count, with these blocks in their cooled forms.
  private List<RowDifference> read(
      int index, EvaluationText text, int from, List<Candidate> cooled) {
    var named = new int[forms.groups().size()][from / BLOCK];
    cooled.forEach(candidate -> named[candidate.group][candidate.block] = candidate.form);
    List<RowDifference> rows = new ArrayList<>();
    reader.read(
        text,
        new Part(from, text.tokens().length, new int[Part.blocks(text)]),
        CHUNK,
        named,
        (first, logits) -> rows.addAll(differences.of(index, first, logits)),
        (first, last) -> {});
    return rows;
  }

  private static double mean(List<RowDifference> rows) {
    return rows.stream().mapToDouble(RowDifference::divergence).average().orElseThrow();
  }
}
