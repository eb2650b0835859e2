package dev.tessera.server.metrics;

import static java.util.concurrent.TimeUnit.NANOSECONDS;

import dev.tessera.server.engine.EngineListener;
import dev.tessera.server.engine.FinishReason;
import dev.tessera.server.engine.Generation.Timing;
import io.micrometer.core.instrument.DistributionSummary;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.Arrays;
import java.util.Locale;

/// Turns what the engine does into vLLM's histograms and counters. Called on the engine's thread:
/// every call is a few additions.
final class EngineMetrics implements EngineListener {
  private static final double[] TOKENS = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000
  };
  private static final double[] REQUEST_SECONDS = {
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
    480.0, 960.0, 1920.0
  };
  private static final double[] FIRST_TOKEN_SECONDS = {
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0
  };
  private static final double[] TOKEN_SECONDS = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
    5.0, 7.5, 10.0
  };
  private static final double[] SAMPLES = {1, 2, 5, 10, 20};

  private final MeterRegistry registry;
  private final Tags tags;
  private final Runnable onFailure;
  private final TextHistogram iterationTokens;
  private final Timer firstToken;
  private final Timer interToken;
  private final Timer tokenTime;
  private final Timer endToEnd;
  private final Timer queueTime;
  private final Timer prefillTime;
  private final Timer decodeTime;
  private final Timer inferenceTime;
  private final DistributionSummary promptTokens;
  private final DistributionSummary generationTokens;
  private final DistributionSummary maxTokens;
  private final DistributionSummary samples;
  private final DistributionSummary computedTokens;
  private final Timer stepTime;

  /// @param iterationTokens kept apart: Micrometer drops `_total` from a histogram's name
  EngineMetrics(
      MeterRegistry registry, Tags tags, TextHistogram iterationTokens, Runnable onFailure) {
    this.registry = registry;
    this.tags = tags;
    this.iterationTokens = iterationTokens;
    this.onFailure = onFailure;
    firstToken = durations("vllm:time_to_first_token_seconds", FIRST_TOKEN_SECONDS);
    interToken = durations("vllm:inter_token_latency_seconds", TOKEN_SECONDS);
    tokenTime = durations("vllm:request_time_per_output_token_seconds", TOKEN_SECONDS);
    endToEnd = durations("vllm:e2e_request_latency_seconds", REQUEST_SECONDS);
    queueTime = durations("vllm:request_queue_time_seconds", REQUEST_SECONDS);
    prefillTime = durations("vllm:request_prefill_time_seconds", REQUEST_SECONDS);
    decodeTime = durations("vllm:request_decode_time_seconds", REQUEST_SECONDS);
    inferenceTime = durations("vllm:request_inference_time_seconds", REQUEST_SECONDS);
    promptTokens = histogram("vllm:request_prompt_tokens", TOKENS);
    generationTokens = histogram("vllm:request_generation_tokens", TOKENS);
    maxTokens = histogram("vllm:request_params_max_tokens", TOKENS);
    samples = histogram("vllm:request_params_n", SAMPLES);
    computedTokens = histogram("vllm:request_prefill_kv_computed_tokens", TOKENS);
    stepTime = durations("tessera_step_seconds", TOKEN_SECONDS);
    for (FinishReason reason : FinishReason.values()) {
      registry.counter("vllm:request_success", success(reason));
    }
  }

  /// A timer, because Micrometer sorts a summary's values into buckets as whole numbers, rounded
  /// up: every value below a second would count as one of a second.
  private Timer durations(String name, double[] bucketSeconds) {
    Duration[] buckets =
        Arrays.stream(bucketSeconds)
            .mapToObj(seconds -> Duration.ofNanos(Math.round(seconds * 1e9)))
            .toArray(Duration[]::new);
    return Timer.builder(name)
        .serviceLevelObjectives(buckets)
        .minimumExpectedValue(buckets[0])
        .maximumExpectedValue(buckets[buckets.length - 1])
        .tags(tags)
        .register(registry);
  }

  private DistributionSummary histogram(String name, double[] buckets) {
    return DistributionSummary.builder(name)
        .serviceLevelObjectives(buckets)
        .minimumExpectedValue(buckets[0])
        .maximumExpectedValue(buckets[buckets.length - 1])
        .tags(tags)
        .register(registry);
  }

  private Tags success(FinishReason reason) {
    return tags.and("finished_reason", reason.name().toLowerCase(Locale.ROOT));
  }

  @Override
  public void onStep(StepStats step) {
    iterationTokens.record(step.rows());
    stepTime.record(step.nanos(), NANOSECONDS);
  }

  @Override
  public void onScheduled(long nanosSinceAccepted) {
    queueTime.record(nanosSinceAccepted, NANOSECONDS);
  }

  @Override
  public void onFirstToken(long nanosSinceAccepted) {
    firstToken.record(nanosSinceAccepted, NANOSECONDS);
  }

  @Override
  public void onNextToken(long nanosSincePrevious) {
    interToken.record(nanosSincePrevious, NANOSECONDS);
  }

  @Override
  public void onFinished(RequestStats request) {
    for (FinishReason reason : request.reasons()) {
      registry.counter("vllm:request_success", success(reason)).increment();
    }
    promptTokens.record(request.promptTokens());
    generationTokens.record(request.generatedTokens());
    maxTokens.record(request.maxTokens());
    samples.record(request.reasons().size());
    Timing timing = request.timing();
    if (timing.scheduled() == 0) {
      return;
    }
    computedTokens.record(request.promptTokens() - Math.max(0, request.cachedTokens()));
    endToEnd.record(timing.finished() - timing.accepted(), NANOSECONDS);
    inferenceTime.record(timing.finished() - timing.scheduled(), NANOSECONDS);
    if (timing.firstToken() != 0) {
      long decode = timing.finished() - timing.firstToken();
      prefillTime.record(timing.firstToken() - timing.scheduled(), NANOSECONDS);
      decodeTime.record(decode, NANOSECONDS);
      int perSample = request.generatedTokens() / Math.max(1, request.reasons().size());
      if (perSample > 1) {
        tokenTime.record(decode / (perSample - 1), NANOSECONDS);
      }
    }
  }

  @Override
  public void onFailure(Throwable cause) {
    onFailure.run();
  }
}
