package dev.tessera.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.BackendProvider;
import dev.tessera.kernels.BackendProvider.Availability;
import dev.tessera.kernels.SampleOutcome;
import dev.tessera.kernels.SampleRequest;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.TensorType;
import dev.tessera.kernels.sampling.HeapLogits;
import dev.tessera.kernels.sampling.Sampler;
import dev.tessera.kernels.testing.PagedSequences;
import dev.tessera.kernels.testing.TinyDecoder;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// What only the native backend has: chunks of rows, split contexts, sampling passes in C.
final class NativeSessionTest {

  static List<BackendProvider> providers() {
    return List.of(new NativeBackendProvider(), new EmulatedBackendProvider());
  }

  private static Backend open(BackendProvider provider, int threads) {
    return switch (provider.open(new BackendOptions(threads, "auto"))) {
      case Availability.Ready(var backend) -> backend;
      case Availability.Unavailable(var reason) -> Assumptions.abort(reason);
    };
  }

  /// 600 rows are three chunks; the last of 600 tokens sees three splits, which three threads
  /// share.
  @ParameterizedTest
  @MethodSource("providers")
  void chunksOfRowsAndSplitsOfContextsChangeNoBit(BackendProvider provider) {
    TinyDecoder decoder = TinyDecoder.builder().types(TensorType.Q8_0, TensorType.Q8_0).build(5);
    int[] tokens = new Random(6).ints(600, 0, decoder.spec().vocabulary()).toArray();
    SessionLimits limits = PagedSequences.limits(decoder.spec(), 2, 1200);
    try (Backend backend = open(provider, 3);
        var session = backend.load(decoder.spec(), decoder.weights(), limits, share -> {})) {
      var sequences = new PagedSequences(session, limits, 7);
      float[][] together = sequences.append(0, tokens);
      var steps = new ArrayList<float[]>();
      for (int token : tokens) {
        steps.add(sequences.append(1, token)[0]);
      }
      for (int i = 0; i < tokens.length; i++) {
        assertArrayEquals(steps.get(i), together[i], "token " + i);
      }
    }
  }

  /// The passes over the vocabulary are C's; the outcome must be that of the passes in Java.
  @ParameterizedTest
  @MethodSource("providers")
  void samplesLikeTheSamplerInJava(BackendProvider provider) {
    TinyDecoder decoder = TinyDecoder.builder().vocabulary(3001).build(8);
    SessionLimits limits = PagedSequences.limits(decoder.spec(), 1, 64);
    try (Backend backend = open(provider, 2);
        var session = backend.load(decoder.spec(), decoder.weights(), limits, share -> {})) {
      float[][] logits = new PagedSequences(session, limits, 9).append(0, 1, 2, 3, 4, 5);
      var random = new Random(10);
      var requests = new ArrayList<SampleRequest>();
      for (int i = 0; i < 200; i++) {
        requests.add(
            new SampleRequest(
                random.nextInt(logits.length),
                i % 4 == 0 ? 0 : 0.1f + 2 * random.nextFloat(),
                i % 3 == 0 ? 1 + random.nextInt(50) : 0,
                i % 5 == 0 ? 0.2f + 0.7f * random.nextFloat() : 1,
                i % 7 == 0 ? 0.05f : 0,
                random.nextDouble(),
                null,
                new int[0],
                new float[0],
                null,
                i % 11 == 0 ? random.nextInt(3001) : -1,
                i % 2 == 0 ? 5 : -1));
      }
      List<SampleOutcome> outcomes = session.sample(requests);
      var sampler = new Sampler(3001);
      for (int i = 0; i < requests.size(); i++) {
        var row = new HeapLogits(logits[requests.get(i).logitRow()], 0, 3001);
        assertSame(sampler.sample(row, requests.get(i)), outcomes.get(i), "request " + i);
      }
    }
  }

  /// Sums of weights are taken in single precision: a log probability moves by some 2^-20.
  private static void assertSame(SampleOutcome expected, SampleOutcome actual, String which) {
    var a = (SampleOutcome.Chosen) expected;
    var b = (SampleOutcome.Chosen) actual;
    assertEquals(a.token(), b.token(), which);
    assertEquals(a.rank(), b.rank(), which);
    assertArrayEquals(a.topTokens(), b.topTokens(), which);
    assertEquals(a.logprob(), b.logprob(), 1e-5f, which);
    assertArrayEquals(a.topLogprobs(), b.topLogprobs(), 1e-5f, which);
  }
}
