package dev.tessera.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.scalar.ScalarBackend;
import dev.tessera.kernels.testing.PagedSequences;
import dev.tessera.kernels.testing.SampleCodes;
import dev.tessera.kernels.testing.SampleForms;
import dev.tessera.kernels.testing.Subject;
import dev.tessera.kernels.testing.TinyDecoder;
import dev.tessera.kvcache.CoolingRule;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// What backends say about the attention that blocks get.
final class AttentionMassContractTest {

  private static final CoolingRule RULE = new CoolingRule(1, List.of(1, 3));
  private static final int TOKENS = 600; // more than a few splits

  /// A sequence of each kind: one row, several rows, one row.
  private static final TreeMap<Integer, int[]> CHUNKS =
      new TreeMap<>(Map.of(0, tokens(1, 5), 1, tokens(3, 6), 2, tokens(1, 7)));

  static Stream<Subject> subjects() {
    return Subject.all();
  }

  /// A code that tips, as [CoolingContractTest] says, moves one token's score by a fifth, and with
  /// it the share of its block, about a tenth, by some hundredths of itself. In single precision
  /// alone the shares agree to a part in ten thousand.
  @ParameterizedTest(name = "{0}")
  @MethodSource("subjects")
  void measuresTheSharesOfTheOracle(Subject subject) {
    try (Backend backend = subject.open(3);
        Backend oracle = ScalarBackend.roundingAs(backend)) {
      AttentionMass expected = run(oracle, true).mass();
      AttentionMass actual = run(backend, true).mass();
      for (int sequence : new int[] {0, 2}) {
        float[] shares = expected.of(0, sequence);
        assertEquals(sequence == 0 ? TOKENS / 64 + 1 : 5, shares.length);
        assertArrayEquals(shares, actual.of(0, sequence), 5e-3f);
        for (int i = 0; i < shares.length; i++) {
          assertTrue(shares[i] > 0 && shares[i] <= 1, i + ": " + shares[i]);
        }
      }
      assertFalse(actual.measures(0, 1));
      assertThrows(IllegalArgumentException.class, () -> actual.of(0, 1));
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("subjects")
  void measuringChangesNoBit(Subject subject) {
    try (Backend backend = subject.open(3)) {
      assertArrayEquals(run(backend, false).logits(), run(backend, true).logits());
    }
  }

  /// @param mass null if it was not measured
  private record Outcome(float[] logits, AttentionMass mass) {}

  private static Outcome run(Backend backend, boolean measures) {
    TinyDecoder decoder = TinyDecoder.builder().layers(3).heads(4, 2, 32).build(3);
    SessionLimits limits = PagedSequences.limits(decoder.spec(), 3, TOKENS + 700);
    List<List<TileCode>> keys =
        SampleCodes.keys(32).stream().map(SampleCodes.Ladder::codes).toList();
    List<List<TileCode>> values =
        SampleCodes.values(32).stream().map(SampleCodes.Ladder::codes).toList();
    CooledForms forms =
        SampleForms.of(
            decoder.spec().kv(), backend.exactSlabs(decoder.spec()), RULE, keys, values, 40);
    try (DecoderSession session =
        backend.load(decoder.spec(), decoder.weights(), limits, share -> {})) {
      session.cool(forms);
      var sequences = new PagedSequences(session, limits, forms, 9);
      sequences.append(0, tokens(TOKENS, 1));
      sequences.append(1, tokens(400, 2));
      sequences.append(2, tokens(300, 3));
      StepBatch batch = sequences.batch(CHUNKS);
      session.submit(
          new StepBatch(
              batch.tokenIds(),
              batch.rowStarts(),
              batch.firstPositions(),
              batch.tables(),
              batch.logitRows(),
              batch.coolings(),
              measures));
      session.await();
      if (!measures) {
        assertThrows(IllegalStateException.class, session::attentionMass);
      }
      var logits = new float[decoder.spec().vocabulary()];
      session.readLogits(0, logits);
      return new Outcome(logits, measures ? session.attentionMass() : null);
    }
  }

  private static int[] tokens(int count, long seed) {
    return new Random(seed).ints(count, 0, 50).toArray();
  }
}
