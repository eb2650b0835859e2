package dev.tessera.server.eval;

import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.TileShape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/// Lets a decoder read texts, one after the other, in steps, cooling blocks as its rule says: what
/// the cooled past does to a token flows into the keys and values that later tokens read.
///
/// Block i of a text is slab i of every form, and keeps its exact form to the end.
final class TeacherForcing {

  private static final int BLOCK = TileShape.BLOCK_TOKENS;

  private final DecoderSession session;
  private final DecoderSpec spec;
  private final CooledForms forms;

  /// @param forms that were announced to the session
  TeacherForcing(DecoderSession session, CooledForms forms) {
    this.session = session;
    this.spec = session.spec();
    this.forms = forms;
  }

  /// Hears of the rows of a step that are watched.
  @FunctionalInterface
  interface Listener {

    /// @param first index into the text's rows
    /// @param logits `[rows][vocabulary]`
    void logits(int first, float[][] logits);
  }

  /// Hears that a step is done, before the next one.
  @FunctionalInterface
  interface StepListener {

    /// @param first block that the step stored tokens into
    /// @param last such block
    void stored(int first, int last);
  }

  /// Tokens of a text that are read, the ones before being in the session already.
  ///
  /// @param made the coolest form of each block of the text so far, which is kept up to date
  record Part(int from, int to, int[] made) {

    static Part whole(EvaluationText text) {
      return new Part(0, text.tokens().length, new int[blocks(text)]);
    }

    static int blocks(EvaluationText text) {
      return Math.ceilDiv(text.tokens().length, BLOCK);
    }
  }

  /// @param chunk tokens of a step
  void read(EvaluationText text, int chunk, Listener listener) {
    read(text, Part.whole(text), chunk, listener, (first, last) -> {});
  }

  /// Reads a part of a text.
  void read(EvaluationText text, Part part, int chunk, Listener listener, StepListener steps) {
    int[] made = part.made;
    int watched = (int) Arrays.stream(text.rows()).filter(row -> row < part.from).count();
    for (int at = part.from; at < part.to; at += chunk) {
      int[] tokens = Arrays.copyOfRange(text.tokens(), at, Math.min(part.to, at + chunk));
      int first = at;
      int[] rows =
          Arrays.stream(text.rows())
              .filter(row -> row >= first && row < first + tokens.length)
              .map(row -> row - first)
              .toArray();
      session.submit(batch(tokens, at, rows, made));
      session.await();
      if (rows.length > 0) {
        float[][] logits = new float[rows.length][spec.vocabulary()];
        for (int i = 0; i < rows.length; i++) {
          session.readLogits(i, logits[i]);
        }
        listener.logits(watched, logits);
        watched += rows.length;
      }
      steps.stored(at / BLOCK, (at + tokens.length - 1) / BLOCK);
    }
  }

  /// Lets the decoder go on by itself after a text, each time with the likeliest token.
  ///
  /// @param part the text, read but for its last token
  /// @param logits `[tokens][vocabulary]` to fill
  /// @return the tokens
  int[] goOn(EvaluationText text, Part part, float[][] logits) {
    int[] made =
        Arrays.copyOf(part.made, Math.ceilDiv(text.tokens().length + logits.length, BLOCK));
    int[] tokens = new int[logits.length];
    int last = text.tokens()[text.tokens().length - 1];
    for (int i = 0; i < tokens.length; i++) {
      session.submit(batch(new int[] {last}, text.tokens().length - 1 + i, new int[1], made));
      session.await();
      session.readLogits(0, logits[i]);
      last = RowDifference.best(logits[i]);
      tokens[i] = last;
    }
    return tokens;
  }

  private StepBatch batch(int[] tokens, int position, int[] rows, int[] made) {
    int lastBlock = (position + tokens.length - 1) / BLOCK;
    var tables = new StepBatch.BlockTables[spec.kv().groups().size()];
    List<StepBatch.Coolings> coolings = new ArrayList<>();
    int[] before = made.clone();
    for (int group = 0; group < tables.length; group++) {
      int formCount = forms.of(group).size();
      List<int[]> cooled = new ArrayList<>(); // { block, form }
      for (int block = 0; block <= lastBlock; block++) {
        int form = forms.form(group, lastBlock, block);
        for (int next = before[block] + 1; next <= form; next++) {
          cooled.add(new int[] {block, next});
        }
        made[block] = Math.max(made[block], form);
      }
      coolings.add(
          new StepBatch.Coolings(
              cooled.stream().mapToInt(c -> c[0]).toArray(),
              cooled.stream().mapToInt(c -> BlockRef.of(BlockRef.EXACT, c[0])).toArray(),
              cooled.stream().mapToInt(c -> BlockRef.of(c[1], c[0])).toArray()));
      tables[group] = table(lastBlock + 1, formCount, made);
    }
    return new StepBatch(
        tokens, new int[] {0, tokens.length}, new int[] {position}, tables, rows, coolings);
  }

  private static StepBatch.BlockTables table(int blocks, int formCount, int[] made) {
    int[] refs =
        IntStream.range(0, blocks).map(block -> BlockRef.of(BlockRef.EXACT, block)).toArray();
    int[][] cooled = new int[formCount][];
    for (int form = 1; form <= formCount; form++) {
      int f = form;
      cooled[form - 1] =
          IntStream.range(0, blocks)
              .map(block -> made[block] >= f ? BlockRef.of(f, block) : BlockRef.NONE)
              .toArray();
    }
    return new StepBatch.BlockTables(new int[] {0, blocks}, new int[1], new int[1], refs, cooled);
  }
}
