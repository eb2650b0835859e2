package dev.tessera.server.metrics;

import dev.tessera.server.engine.EngineStats;
import dev.tessera.server.engine.TokenEngine;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.Tags;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/// What the server tells Prometheus: the families of vLLM under their exact names, so that
/// gateways, dashboards and autoscalers work unchanged, and our own under `tessera_`.
public final class ServerMetrics {
  public static final String CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

  private final PrometheusMeterRegistry registry =
      new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
  private final Counter unknownFields =
      Counter.builder("tessera_unknown_fields")
          .description("Request fields that this server does not know and ignored")
          .register(registry);
  private final Counter clientsGone =
      Counter.builder("tessera_clients_gone")
          .description("Requests whose client left before the answer was complete")
          .register(registry);
  private volatile @Nullable TokenEngine engine;

  /// Reports the state of an engine from now on.
  public void bind(String modelName, TokenEngine source) {
    engine = source;
    Tags tags = Tags.of("model_name", modelName, "engine", "0");
    gauge("vllm:num_requests_running", tags, EngineStats::running);
    gauge("vllm:num_requests_waiting", tags, EngineStats::waiting);
    gauge(
        "vllm:kv_cache_usage_perc",
        tags,
        s -> s.totalBlocks() == 0 ? 0 : (double) s.usedBlocks() / s.totalBlocks());
    counter("vllm:prefix_cache_queries", tags, EngineStats::prefixQueryTokens);
    counter("vllm:prefix_cache_hits", tags, EngineStats::prefixHitTokens);
    counter("vllm:num_preemptions", tags, EngineStats::preemptions);
    counter("vllm:prompt_tokens", tags, EngineStats::promptTokens);
    counter("vllm:generation_tokens", tags, EngineStats::generatedTokens);
    counter("vllm:admission_rejections", tags, EngineStats::rejected);
  }

  private void gauge(String name, Tags tags, ToDoubleFunction<EngineStats> value) {
    Gauge.builder(name, () -> stat(value)).tags(tags).register(registry);
  }

  private void counter(String name, Tags tags, ToDoubleFunction<EngineStats> value) {
    FunctionCounter.builder(name, this, self -> self.stat(value)).tags(tags).register(registry);
  }

  private double stat(ToDoubleFunction<EngineStats> value) {
    TokenEngine source = engine;
    return source == null ? 0 : value.applyAsDouble(source.stats());
  }

  /// A request was answered; status 0 means that its client left before.
  public void request(String route, int status) {
    registry
        .counter("tessera_http_requests", "route", route, "status", Integer.toString(status))
        .increment();
  }

  public void unknownFields(int count) {
    unknownFields.increment(count);
  }

  public void clientGone() {
    clientsGone.increment();
  }

  /// Everything in Prometheus' text format.
  public String scrape() {
    return registry.scrape();
  }
}
