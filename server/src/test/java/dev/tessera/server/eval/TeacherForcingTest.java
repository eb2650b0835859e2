package dev.tessera.server.eval;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.tessera.kernels.AttentionMass;
import dev.tessera.kernels.CooledForm;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.RowCapture;
import dev.tessera.kernels.SampleOutcome;
import dev.tessera.kernels.SampleRequest;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kernels.codec.PlainCodes;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.testing.TinyDecoder;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.CodedFormat.Role;
import dev.tessera.kvcache.CoolingRule;
import dev.tessera.kvcache.FormLayout;
import dev.tessera.kvcache.LayerGroup;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class TeacherForcingTest {

  private static final int TOKENS = 1000;
  private static final DecoderSpec SPEC =
      TinyDecoder.builder().layers(3).window(100, 0, 1).build(1).spec();
  private static final CoolingRule RULE = new CoolingRule(1, List.of(2, 6));

  /// Two forms of the group that sees everything; the one with a window stays exact.
  private static CooledForms forms() {
    LayerGroup group = SPEC.kv().groups().get(1);
    List<TileCode> keys = PlainCodes.ladder(Role.KEY, SPEC.headDim(), 4, List.of(4, 2), 0, null);
    List<TileCode> values =
        PlainCodes.ladder(Role.VALUE, SPEC.headDim(), 4, List.of(4, 2), 0, null);
    List<CooledForm> forms = new ArrayList<>();
    for (int form = 0; form < 2; form++) {
      var layout =
          FormLayout.uniform(
              group, SPEC.kvHeads(), keys.get(form).format(), values.get(form).format());
      forms.add(
          new CooledForm(layout, everywhere(keys.get(form)), everywhere(values.get(form)), 16));
    }
    return new CooledForms(RULE, List.of(List.of(), forms));
  }

  private static List<List<@Nullable TileCode>> everywhere(TileCode code) {
    return Collections.nCopies(2, Collections.nCopies(SPEC.kvHeads(), code));
  }

  /// Whatever the size of steps: every step is one that a backend accepts, all blocks that queries
  /// read cooled have cooled, each once, and every watched row is heard of once, in order.
  @ParameterizedTest
  @ValueSource(ints = {1, 50, 64, 150, 256, 1000})
  void coolsWhatTheRuleSaysAndNothingTwice(int chunk) {
    CooledForms forms = forms();
    var session =
        new RecordingSession(forms, new SessionLimits(chunk, chunk, 1, new int[] {16, 16}));
    int[] rows = IntStream.range(0, TOKENS).filter(row -> row % 7 == 3).toArray();
    var text =
        new EvaluationText(
            "text", IntStream.range(0, TOKENS).map(i -> i % 97).toArray(), rows, List.of());
    List<Integer> heard = new ArrayList<>();
    new TeacherForcing(session, forms)
        .read(
            text,
            chunk,
            (first, logits) -> {
              assertEquals(heard.size(), first);
              for (float[] row : logits) {
                heard.add((int) row[0]);
              }
            });
    assertArrayEquals(rows, heard.stream().mapToInt(i -> i).toArray());
    assertEquals(TOKENS, session.tokens);
    List<String> expected = new ArrayList<>();
    for (int query = 0; query <= (TOKENS - 1) / 64; query++) {
      for (int block = 0; block <= query; block++) {
        for (int form = 1; form <= RULE.form(query, block); form++) {
          if (!expected.contains(form + " of " + block)) {
            expected.add(form + " of " + block);
          }
        }
      }
    }
    assertEquals(expected.stream().sorted().toList(), session.cooled.stream().sorted().toList());
  }

  /// Checks every batch as a backend does, and answers with positions for logits.
  private static final class RecordingSession implements DecoderSession {

    private final CooledForms forms;
    private final SessionLimits limits;
    private final List<String> cooled = new ArrayList<>();
    private int tokens;
    private int[] rows = {};

    RecordingSession(CooledForms forms, SessionLimits limits) {
      this.forms = forms;
      this.limits = limits;
    }

    @Override
    public void submit(StepBatch batch) {
      batch.require(SPEC, limits, forms);
      assertEquals(tokens, batch.firstPositions()[0]);
      assertEquals(0, batch.coolings().get(0).count());
      rows = IntStream.of(batch.logitRows()).map(row -> tokens + row).toArray();
      tokens += batch.rows();
      StepBatch.Coolings coolings = batch.coolings().get(1);
      for (int i = 0; i < coolings.count(); i++) {
        cooled.add(BlockRef.form(coolings.to()[i]) + " of " + coolings.blocks()[i]);
      }
    }

    @Override
    public void readLogits(int logitRow, float[] destination) {
      destination[0] = rows[logitRow];
    }

    @Override
    public AttentionMass attentionMass() {
      throw new IllegalStateException("nothing is measured");
    }

    @Override
    public DecoderSpec spec() {
      return SPEC;
    }

    @Override
    public long weightBytes() {
      return 0;
    }

    @Override
    public long scratchBytes() {
      return 0;
    }

    @Override
    public void await() {}

    @Override
    public List<SampleOutcome> sample(List<SampleRequest> requests) {
      throw new UnsupportedOperationException("nobody samples here");
    }

    @Override
    public void capture(@Nullable RowCapture capture) {}

    @Override
    public void cool(CooledForms announced) {}

    @Override
    public void readSlab(int group, int form, int slab, MemorySegment bytes) {
      throw new UnsupportedOperationException("there is no tier here");
    }

    @Override
    public void writeSlab(int group, int form, int slab, MemorySegment bytes) {
      throw new UnsupportedOperationException("there is no tier here");
    }

    @Override
    public void discard(int group, int form, int slab) {}

    @Override
    public void close() {}
  }
}
