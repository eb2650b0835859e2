package dev.tessera.server.metrics;

import dev.tessera.kernels.CodecStats;
import dev.tessera.kvcache.KvStats;
import dev.tessera.kvcache.TierStats;
import dev.tessera.server.engine.EngineListener;
import dev.tessera.server.engine.EngineStats;
import dev.tessera.server.engine.TokenEngine;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.Tags;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.util.function.ToDoubleFunction;
import java.util.function.ToLongFunction;
import org.jspecify.annotations.Nullable;

/// What the server tells Prometheus: the families of vLLM under their exact names, so that
/// gateways, dashboards and autoscalers work unchanged, and our own under `tessera_`.
///
/// Families whose names end in `_info`, and histograms whose names end in `_total`, are written by
/// hand: the registry would drop the endings, and readers look for exact names.
public final class ServerMetrics {
  public static final String CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

  private static final String ENGINE = "0";

  private final PrometheusMeterRegistry registry =
      new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
  private final TextHistogram iterationTokens =
      new TextHistogram(
          "vllm:iteration_tokens_total",
          "Tokens computed in a step",
          1,
          8,
          16,
          32,
          64,
          128,
          256,
          512,
          1024,
          2048,
          4096,
          8192,
          16_384);
  private final Counter unknownFields =
      Counter.builder("tessera_unknown_fields")
          .description("Request fields that this server does not know and ignored")
          .register(registry);
  private final Counter clientsGone =
      Counter.builder("tessera_clients_gone")
          .description("Requests whose client left before the answer was complete")
          .register(registry);
  private volatile @Nullable Served served;

  private record Served(String modelName, int blockTokens, TokenEngine engine) {}

  /// Listens to the engine of a model.
  ///
  /// @param onFailure runs when the engine has failed
  public EngineListener listener(String modelName, Runnable onFailure) {
    return new EngineMetrics(registry, tags(modelName), iterationTokens, onFailure);
  }

  /// Reports the state of an engine from now on.
  public void bind(String modelName, int blockTokens, TokenEngine engine) {
    served = new Served(modelName, blockTokens, engine);
    Tags tags = tags(modelName);
    gauge("vllm:num_requests_running", tags, EngineStats::running);
    gauge("vllm:num_requests_waiting", tags, EngineStats::waiting);
    gauge(
        "vllm:kv_cache_usage_perc",
        tags,
        s -> s.budgetBytes() == 0 ? 0 : (double) s.usedBytes() / s.budgetBytes());
    counter("vllm:prefix_cache_queries", tags, EngineStats::prefixQueryTokens);
    counter("vllm:prefix_cache_hits", tags, EngineStats::prefixHitTokens);
    counter("vllm:prompt_tokens_cached", tags, EngineStats::prefixHitTokens);
    counter("vllm:num_preemptions", tags, EngineStats::preemptions);
    counter("vllm:prompt_tokens", tags, EngineStats::promptTokens);
    counter("vllm:generation_tokens", tags, EngineStats::generatedTokens);
    counter("vllm:admission_rejections", tags, EngineStats::rejected);
    counter("tessera_steps", tags, EngineStats::steps);
    gauge("tessera_kv_blocks_used", tags, EngineStats::usedBlocks);
    gauge("tessera_kv_blocks_cached", tags, EngineStats::cachedBlocks);
    gauge("tessera_kv_bytes_used", tags, EngineStats::usedBytes);
    gauge("tessera_kv_bytes_cached", tags, EngineStats::cachedBytes);
    gauge("tessera_kv_bytes_budget", tags, EngineStats::budgetBytes);
    gauge("tessera_kv_bytes_copies", tags, EngineStats::copyBytes);
    gauge("tessera_kv_bytes_tails", tags, EngineStats::tailBytes);
    gauge(
        "tessera_kv_pressure",
        tags,
        s ->
            s.budgetBytes() == 0
                ? 0
                : (double) (s.usedBytes() + s.cachedBytes()) / s.budgetBytes());
    counter("tessera_kv_coolings", tags, EngineStats::coolings);
    counter("tessera_kv_evictions", tags, EngineStats::evictedBlocks);
    for (KvStats.FormatStats format : engine.stats().formats()) {
      Tags own = tags.and("format", format.format(), "tier", "device");
      gauge("tessera_kv_tiles", own, s -> of(s, format, KvStats.FormatStats::tiles));
      gauge("tessera_kv_tile_bytes", own, s -> of(s, format, KvStats.FormatStats::bytes));
    }
    for (KvStats.TierUse tier : engine.stats().tiers()) {
      bindTier(tier, tags.and("tier", tier.stats().tier()));
    }
    for (CodecStats codec : engine.stats().codecs()) {
      bindCodec(codec.format(), tags.and("format", codec.format()));
    }
  }

  private void bindTier(KvStats.TierUse tier, Tags tags) {
    String name = tier.stats().tier();
    for (KvStats.FormatStats format : tier.formats()) {
      Tags own = tags.and("format", format.format());
      gauge("tessera_kv_tiles", own, s -> below(s, name, format, KvStats.FormatStats::tiles));
      gauge("tessera_kv_tile_bytes", own, s -> below(s, name, format, KvStats.FormatStats::bytes));
    }
    gauge("tessera_kv_tier_bytes_used", tags, s -> below(s, name, TierStats::bytes));
    gauge("tessera_kv_tier_bytes_budget", tags, s -> below(s, name, TierStats::limitBytes));
    counter("tessera_kv_tier_stored", tags, s -> below(s, name, TierStats::stored));
    counter("tessera_kv_tier_declined", tags, s -> below(s, name, TierStats::declined));
    counter("tessera_kv_tier_fetched", tags, s -> below(s, name, TierStats::fetched));
    counter("tessera_kv_tier_lost", tags, s -> below(s, name, TierStats::lost));
    counter("tessera_kv_tier_damaged", tags, s -> below(s, name, TierStats::damaged));
    counter("tessera_kv_tier_dropped", tags, s -> below(s, name, TierStats::dropped));
    bindRecalls(name, tags, "hit", KvStats.RecallStats::hits);
    bindRecalls(name, tags, "miss", KvStats.RecallStats::misses);
    bindRecalls(name, tags, "outrun", KvStats.RecallStats::outrun);
  }

  private void bindRecalls(
      String tier, Tags tags, String result, ToLongFunction<KvStats.RecallStats> value) {
    counter(
        "tessera_kv_tier_recalls",
        tags.and("result", result),
        s ->
            s.tiers().stream()
                .filter(own -> own.stats().tier().equals(tier))
                .mapToLong(own -> value.applyAsLong(own.recalls()))
                .sum());
  }

  private static double below(EngineStats stats, String tier, ToLongFunction<TierStats> value) {
    return stats.tiers().stream()
        .filter(own -> own.stats().tier().equals(tier))
        .mapToLong(own -> value.applyAsLong(own.stats()))
        .sum();
  }

  private static double below(
      EngineStats stats,
      String tier,
      KvStats.FormatStats format,
      ToLongFunction<KvStats.FormatStats> value) {
    return stats.tiers().stream()
        .filter(own -> own.stats().tier().equals(tier))
        .flatMap(own -> own.formats().stream())
        .filter(own -> own.format().equals(format.format()))
        .mapToLong(value)
        .sum();
  }

  /// Seconds are those of all threads together.
  private void bindCodec(String format, Tags tags) {
    counter("tessera_kv_encoded_tiles", tags, s -> of(s, format, CodecStats::coded));
    counter("tessera_kv_encode_seconds", tags, s -> of(s, format, c -> c.codingNanos() / 1e9));
    counter("tessera_kv_decoded_tiles", tags, s -> of(s, format, CodecStats::read));
    counter("tessera_kv_decode_seconds", tags, s -> of(s, format, c -> c.readingNanos() / 1e9));
    counter("tessera_kv_reconstruction_samples", tags, s -> of(s, format, CodecStats::compared));
    gauge("tessera_kv_reconstruction_error", tags, s -> of(s, format, CodecStats::relativeError));
  }

  private static double of(EngineStats stats, String format, ToDoubleFunction<CodecStats> value) {
    return stats.codecs().stream()
        .filter(own -> own.format().equals(format))
        .mapToDouble(value)
        .sum();
  }

  private static double of(
      EngineStats stats, KvStats.FormatStats format, ToLongFunction<KvStats.FormatStats> value) {
    return stats.formats().stream()
        .filter(own -> own.format().equals(format.format()))
        .mapToLong(value)
        .sum();
  }

  private static Tags tags(String modelName) {
    return Tags.of("model_name", modelName, "engine", ENGINE);
  }

  private void gauge(String name, Tags tags, ToDoubleFunction<EngineStats> value) {
    Gauge.builder(name, () -> stat(value)).tags(tags).register(registry);
  }

  private void counter(String name, Tags tags, ToDoubleFunction<EngineStats> value) {
    FunctionCounter.builder(name, this, self -> self.stat(value)).tags(tags).register(registry);
  }

  private double stat(ToDoubleFunction<EngineStats> value) {
    Served current = served;
    return current == null ? 0 : value.applyAsDouble(current.engine.stats());
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
    StringBuilder text = new StringBuilder(registry.scrape());
    Served current = served;
    if (current != null) {
      String labels = "model_name=\"" + escaped(current.modelName) + "\",engine=\"" + ENGINE + "\"";
      iterationTokens.write(text, labels);
      info(
          text,
          "vllm:cache_config_info",
          "Shape of the KV-cache",
          labels
              + ",block_size=\""
              + current.blockTokens
              + "\",num_gpu_blocks=\""
              + current.engine.stats().totalBlocks()
              + "\"",
          "1.0");
      info(
          text,
          "vllm:lora_requests_info",
          "Adapters in use; this server has none",
          "max_lora=\"0\",running_lora_adapters=\"\",waiting_lora_adapters=\"\"",
          Long.toString(System.currentTimeMillis() / 1000));
    }
    return text.toString();
  }

  private static void info(
      StringBuilder out, String name, String help, String labels, String value) {
    out.append("# HELP ").append(name).append(' ').append(help).append('\n');
    out.append("# TYPE ").append(name).append(" gauge\n");
    out.append(name).append('{').append(labels).append("} ").append(value).append('\n');
  }

  private static String escaped(String text) {
    return text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n");
  }
}
