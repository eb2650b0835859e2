package dev.tessera.kernels;

import static dev.tessera.kernels.testing.Closeness.relativeError;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.scalar.ScalarBackend;
import dev.tessera.kernels.testing.PagedSequences;
import dev.tessera.kernels.testing.Subject;
import dev.tessera.kernels.testing.TinyDecoder;
import dev.tessera.kvcache.ElementType;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// What every backend shows of a step's rows: the oracle's queries, keys and values.
final class CaptureContractTest {

  static Stream<Subject> subjects() {
    return Subject.all();
  }

  private static final List<TinyDecoder> MODELS =
      List.of(
          TinyDecoder.builder().build(1),
          TinyDecoder.builder().bias().heads(6, 2, 24).window(70, 0, 1).build(2),
          TinyDecoder.builder().headNorms().rope(RopeSpec.Pairing.SPLIT, 8, 1.2f).build(3));

  @ParameterizedTest
  @MethodSource("subjects")
  void showsTheVectorsOfTheOracle(Subject subject) {
    for (TinyDecoder decoder : MODELS) {
      List<float[]> expected;
      try (Backend oracle = new ScalarBackend()) {
        expected = captured(oracle, decoder);
      }
      assertEquals(3 * decoder.spec().layers().size(), expected.size());
      try (Backend backend = subject.open(2)) {
        // Single precision; or the halves of the tiles, 2^-11 of an element, which scores amplify.
        double tolerance = backend.exactElement() == ElementType.F32 ? 1e-4 : 4e-3;
        List<float[]> actual = captured(backend, decoder);
        assertEquals(expected.size(), actual.size());
        for (int i = 0; i < expected.size(); i++) {
          assertEquals(expected.get(i).length, actual.get(i).length);
          double error = relativeError(expected.get(i), actual.get(i));
          assertTrue(error <= tolerance, "part " + i + " is off by " + error);
        }
      }
    }
  }

  /// Three steps: two sequences beside each other, a single row, and one that nobody hears between.
  private static List<float[]> captured(Backend backend, TinyDecoder decoder) {
    DecoderSpec spec = decoder.spec();
    var random = new Random(4);
    SessionLimits limits = PagedSequences.limits(spec, 2, 200);
    var heard = new ArrayList<float[]>();
    try (DecoderSession session = backend.load(spec, decoder.weights(), limits, share -> {})) {
      var sequences = new PagedSequences(session, limits, 5);
      int vectors = (spec.heads() + 2 * spec.kvHeads()) * spec.headDim();
      for (int[] rows : new int[][] {{70, 3}, {1}, {5}, {2, 2}}) {
        session.capture(
            rows[0] == 5
                ? null
                : (layer, captured) -> {
                  assertEquals(heard.size() % spec.layers().size(), layer);
                  assertTrue(captured.length >= vectors * rows[0]);
                  heard.add(captured.clone());
                });
        var chunks = new TreeMap<Integer, int[]>();
        for (int sequence = 0; sequence < rows.length; sequence++) {
          chunks.put(sequence, random.ints(rows[sequence], 0, spec.vocabulary()).toArray());
        }
        sequences.append(chunks);
      }
    }
    return heard;
  }

  /// Listening changes nothing, whether or not it has ended.
  @ParameterizedTest
  @MethodSource("subjects")
  void leavesTheLogitsAlone(Subject subject) {
    TinyDecoder decoder = MODELS.getFirst();
    int[] tokens = new Random(6).ints(90, 0, decoder.spec().vocabulary()).toArray();
    SessionLimits limits = PagedSequences.limits(decoder.spec(), 3, 200);
    try (Backend backend = subject.open(2);
        DecoderSession session =
            backend.load(decoder.spec(), decoder.weights(), limits, share -> {})) {
      var sequences = new PagedSequences(session, limits, 7);
      float[][] expected = sequences.append(0, tokens);
      session.capture((layer, captured) -> {});
      float[][] heard = sequences.append(1, tokens);
      session.capture(null);
      float[][] after = sequences.append(2, tokens);
      for (int row = 0; row < tokens.length; row++) {
        assertArrayEquals(expected[row], heard[row]);
        assertArrayEquals(expected[row], after[row]);
      }
    }
  }
}
