package dev.tessera.server.engine;

import dev.tessera.kernels.SampleOutcome;
import dev.tessera.kvcache.CoolingRule;
import dev.tessera.kvcache.KvGeometry;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/// Makes requests for tests, and says what comes out of them on [FakeModelRunner].
final class Requests {
  String id = "request";
  int[] prompt;
  int samples = 1;
  int maxTokens = 8;
  int minTokens;
  Set<Integer> stopTokens = Set.of();
  boolean ignoreEos = true;
  float temperature;
  float presence;
  Long seed = 7L;
  int promptLogprobs = -1;
  long priority;
  String salt = "";

  static Requests prompt(int first, int count) {
    Requests requests = new Requests();
    requests.prompt = new int[count];
    for (int i = 0; i < count; i++) {
      requests.prompt[i] = (first + i) % FakeModelRunner.VOCABULARY;
    }
    return requests;
  }

  Requests id(String value) {
    id = value;
    return this;
  }

  Requests samples(int value) {
    samples = value;
    return this;
  }

  Requests maxTokens(int value) {
    maxTokens = value;
    return this;
  }

  Requests minTokens(int value) {
    minTokens = value;
    return this;
  }

  Requests stopTokens(Integer... values) {
    stopTokens = Set.of(values);
    return this;
  }

  Requests heedEos() {
    ignoreEos = false;
    return this;
  }

  Requests temperature(float value) {
    temperature = value;
    return this;
  }

  Requests presence(float value) {
    presence = value;
    return this;
  }

  Requests seed(Long value) {
    seed = value;
    return this;
  }

  Requests promptLogprobs(int value) {
    promptLogprobs = value;
    return this;
  }

  Requests priority(long value) {
    priority = value;
    return this;
  }

  Requests salt(String value) {
    salt = value;
    return this;
  }

  GenerationRequest build() {
    return new GenerationRequest(
        id,
        prompt,
        samples,
        maxTokens,
        minTokens,
        stopTokens,
        ignoreEos,
        new SamplingParameters(
            temperature,
            1,
            0,
            0,
            presence,
            0,
            1,
            seed,
            new int[0],
            new float[0],
            -1,
            promptLogprobs),
        priority,
        salt);
  }

  /// What a sample gives when it is computed alone, all at once, without any cache.
  ///
  /// @param scores log probabilities of the prompt's tokens from the second on, where asked for
  record Expected(
      List<Float> scores, List<Integer> tokens, FinishReason reason, Integer stopToken) {}

  static Expected alone(
      KvGeometry geometry, GenerationRequest request, int sample, Set<Integer> endTokens) {
    return alone(geometry, CoolingRule.NEVER, request, sample, endTokens);
  }

  /// @param rule which form a query reads
  static Expected alone(
      KvGeometry geometry,
      CoolingRule rule,
      GenerationRequest request,
      int sample,
      Set<Integer> endTokens) {
    Set<Integer> ends = new HashSet<>(request.stopTokens());
    if (!request.ignoreEos()) {
      ends.addAll(endTokens);
    }
    int[] tokens = request.prompt().clone();
    SamplingState sampling =
        new SamplingState(
            request.sampling(),
            request.sampling().seed(),
            sample,
            tokens,
            request.minTokens(),
            ends);
    List<Float> scores = new ArrayList<>();
    List<Integer> output = new ArrayList<>();
    if (sample == 0 && request.sampling().promptLogprobs() >= 0) {
      for (int i = 1; i < tokens.length; i++) {
        long logits = FakeModelRunner.read(geometry, rule, tokens, i - 1);
        switch (FakeModelRunner.choose(logits, sampling.score(0, tokens[i]))) {
          case SampleOutcome.Broken broken -> {
            return new Expected(scores, output, FinishReason.ERROR, null);
          }
          case SampleOutcome.Chosen chosen -> scores.add(chosen.logprob());
        }
      }
    }
    while (output.size() < request.maxTokens()) {
      long logits = FakeModelRunner.read(geometry, rule, tokens, tokens.length - 1);
      switch (FakeModelRunner.choose(logits, sampling.choose(0, output.size()))) {
        case SampleOutcome.Broken broken -> {
          return new Expected(scores, output, FinishReason.ERROR, null);
        }
        case SampleOutcome.Chosen chosen -> {
          if (ends.contains(chosen.token()) && output.size() >= request.minTokens()) {
            return new Expected(scores, output, FinishReason.STOP, chosen.token());
          }
          output.add(chosen.token());
          sampling.append(chosen.token());
          tokens = Arrays.copyOf(tokens, tokens.length + 1);
          tokens[tokens.length - 1] = chosen.token();
        }
      }
    }
    return new Expected(scores, output, FinishReason.LENGTH, null);
  }
}
