package dev.tessera.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.CodecStats;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.codec.PlainCodes;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.testing.PagedSequences;
import dev.tessera.kernels.testing.SampleForms;
import dev.tessera.kernels.testing.Subject;
import dev.tessera.kernels.testing.TinyDecoder;
import dev.tessera.kvcache.CodedFormat.Role;
import dev.tessera.kvcache.CoolingRule;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// What a session counts of its coded tiles.
final class CodecStatsTest {

  private static final int TOKENS = 40 * 64;
  private static final TinyDecoder DECODER =
      TinyDecoder.builder().layers(3).heads(4, 2, 64).build(1);

  static Stream<Subject> nativeSubjects() {
    return Subject.all().filter(subject -> subject.provider() instanceof NativeBackendProvider);
  }

  @ParameterizedTest
  @MethodSource("nativeSubjects")
  void countsTilesByFormatAndComparesSome(Subject subject) {
    DecoderSpec spec = DECODER.spec();
    List<TileCode> keys = List.of(PlainCodes.planes(Role.KEY, spec.headDim(), 4, 0, null));
    List<TileCode> values = List.of(PlainCodes.planes(Role.VALUE, spec.headDim(), 2, 0, null));
    try (Backend backend = subject.open(2)) {
      CooledForms forms =
          SampleForms.of(
              spec.kv(),
              backend.exactSlabs(spec),
              new CoolingRule(1, List.of(1)),
              List.of(keys),
              List.of(values),
              40);
      SessionLimits limits = PagedSequences.limits(spec, 1, TOKENS);
      try (DecoderSession session = backend.load(spec, DECODER.weights(), limits, share -> {})) {
        session.cool(forms);
        assertEquals(0, stats(session).get("p4").coded());
        var sequences = new PagedSequences(session, limits, forms, 1);
        int[] tokens = new Random(1).ints(TOKENS, 0, spec.vocabulary()).toArray();
        for (int at = 0; at < TOKENS; at += 160) {
          sequences.append(0, java.util.Arrays.copyOfRange(tokens, at, at + 160));
        }
        Map<String, CodecStats> stats = stats(session);
        long cooled =
            37L
                * spec.layers().size()
                * spec.kvHeads(); // all blocks but the first and the last two
        for (String format : List.of("p4", "p2")) {
          CodecStats own = stats.get(format);
          assertEquals(cooled, own.coded(), own.toString());
          assertTrue(own.codingNanos() > 0, own.toString());
          assertTrue(own.read() > cooled && own.readingNanos() > 0, own.toString());
          assertTrue(own.compared() > 0, own.toString());
        }
        // A Gaussian's distortion at four bits is 0.0095, at two 0.1175 (Max, 1960).
        assertEquals(Math.sqrt(0.0095), stats.get("p4").relativeError(), 0.03);
        assertEquals(Math.sqrt(0.1175), stats.get("p2").relativeError(), 0.06);
      }
    }
  }

  private static Map<String, CodecStats> stats(DecoderSession session) {
    return session.codecStats().stream()
        .collect(Collectors.toMap(CodecStats::format, Function.identity()));
  }
}
