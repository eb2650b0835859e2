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
import org.jspecify.annotations.Nullable;

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

  /// Hears what attention a step's query gave to the blocks of a group, from 0 to 1 each.
  @FunctionalInterface
  interface MassListener {

    void mass(int step, int group, float[] shares);
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
    read(text, part, chunk, null, listener, steps);
  }

  /// Reads a part of a text in steps whose queries read blocks in the forms that are named.
  ///
  /// @param named `[groups][blocks]`, exact where there are no more of them; null where age decides
  void read(
      EvaluationText text,
      Part part,
      int chunk,
      int @Nullable [][] named,
      Listener listener,
      StepListener steps) {
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
      session.submit(batch(tokens, at, rows, made, named, false));
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
      int at = text.tokens().length - 1 + i;
      session.submit(batch(new int[] {last}, at, new int[1], made, null, false));
      session.await();
      session.readLogits(0, logits[i]);
      last = RowDifference.best(logits[i]);
      tokens[i] = last;
    }
    return tokens;
  }

  /// Reads tokens over exact tiles, each in a step of its own, and listens now and then what
  /// attention blocks get.
  ///
  /// @param every so many steps
  void hear(EvaluationText text, Part part, int every, MassListener listener) {
    int groups = spec.kv().groups().size();
    for (int at = part.from; at < part.to; at++) {
      boolean measures = (at - part.from) % every == 0;
      int[] token = {text.tokens()[at]};
      session.submit(batch(token, at, new int[0], part.made, new int[groups][0], measures));
      session.await();
      for (int group = 0; measures && group < groups; group++) {
        if (!forms.of(group).isEmpty()) {
          listener.mass(at - part.from, group, session.attentionMass().of(group, 0));
        }
      }
    }
  }

  private int form(int @Nullable [][] named, int group, int lastBlock, int block) {
    if (named == null) {
      return forms.form(group, lastBlock, block);
    }
    return block < named[group].length ? named[group][block] : BlockRef.EXACT;
  }

  private StepBatch batch(
      int[] tokens,
      int position,
      int[] rows,
      int[] made,
      int @Nullable [][] named,
      boolean measuresMass) {
    int lastBlock = (position + tokens.length - 1) / BLOCK;
    var tables = new StepBatch.BlockTables[spec.kv().groups().size()];
    List<StepBatch.Coolings> coolings = new ArrayList<>();
    int[] before = made.clone();
    for (int group = 0; group < tables.length; group++) {
      int formCount = forms.of(group).size();
      List<int[]> cooled = new ArrayList<>(); // { block, form }
      for (int block = 0; block <= lastBlock; block++) {
        int form = form(named, group, lastBlock, block);
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
      int g = group;
      int[] read =
          named == null || formCount == 0
              ? new int[0]
              : IntStream.rangeClosed(0, lastBlock)
                  .map(block -> form(named, g, lastBlock, block))
                  .toArray();
      tables[group] = table(lastBlock + 1, formCount, made, read);
    }
    return new StepBatch(
        tokens,
        new int[] {0, tokens.length},
        new int[] {position},
        tables,
        rows,
        coolings,
        measuresMass);
  }

  private static StepBatch.BlockTables table(int blocks, int formCount, int[] made, int[] read) {
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
    return new StepBatch.BlockTables(
        new int[] {0, blocks}, new int[1], new int[1], refs, cooled, read);
  }
}
