package dev.tessera.server.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.CodecStats;
import dev.tessera.kvcache.CachePicture;
import dev.tessera.kvcache.KvStats;
import dev.tessera.kvcache.TierStats;
import dev.tessera.server.engine.Admission;
import dev.tessera.server.engine.EngineListener;
import dev.tessera.server.engine.EngineStats;
import dev.tessera.server.engine.FinishReason;
import dev.tessera.server.engine.Generation.Timing;
import dev.tessera.server.engine.GenerationRequest;
import dev.tessera.server.engine.TokenEngine;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/// The names and types that dashboards and autoscalers look for, to the letter.
final class ServerMetricsTest {
  private static final Map<String, String> FAMILIES =
      Map.ofEntries(
          Map.entry("vllm:num_requests_running", "gauge"),
          Map.entry("vllm:num_requests_waiting", "gauge"),
          Map.entry("vllm:kv_cache_usage_perc", "gauge"),
          Map.entry("vllm:cache_config_info", "gauge"),
          Map.entry("vllm:lora_requests_info", "gauge"),
          Map.entry("vllm:prefix_cache_queries_total", "counter"),
          Map.entry("vllm:prefix_cache_hits_total", "counter"),
          Map.entry("vllm:prompt_tokens_cached_total", "counter"),
          Map.entry("vllm:num_preemptions_total", "counter"),
          Map.entry("vllm:prompt_tokens_total", "counter"),
          Map.entry("vllm:generation_tokens_total", "counter"),
          Map.entry("vllm:admission_rejections_total", "counter"),
          Map.entry("vllm:request_success_total", "counter"),
          Map.entry("vllm:iteration_tokens_total", "histogram"),
          Map.entry("vllm:time_to_first_token_seconds", "histogram"),
          Map.entry("vllm:inter_token_latency_seconds", "histogram"),
          Map.entry("vllm:request_time_per_output_token_seconds", "histogram"),
          Map.entry("vllm:e2e_request_latency_seconds", "histogram"),
          Map.entry("vllm:request_queue_time_seconds", "histogram"),
          Map.entry("vllm:request_prefill_time_seconds", "histogram"),
          Map.entry("vllm:request_decode_time_seconds", "histogram"),
          Map.entry("vllm:request_inference_time_seconds", "histogram"),
          Map.entry("vllm:request_prompt_tokens", "histogram"),
          Map.entry("vllm:request_generation_tokens", "histogram"),
          Map.entry("vllm:request_params_n", "histogram"),
          Map.entry("vllm:request_params_max_tokens", "histogram"),
          Map.entry("vllm:request_prefill_kv_computed_tokens", "histogram"));

  /// An engine that has done some work.
  private record Worked() implements TokenEngine {
    @Override
    public Admission submit(GenerationRequest request) {
      return new Admission.Draining();
    }

    @Override
    public int contextTokens() {
      return 1;
    }

    @Override
    public EngineStats stats() {
      return new EngineStats(
          2,
          3,
          25,
          50,
          100,
          600,
          900,
          10,
          20,
          2_000,
          40,
          30,
          5,
          60,
          70,
          80,
          9,
          4,
          3,
          List.of(new KvStats.FormatStats("p4", 12, 345)),
          List.of(
              new KvStats.TierUse(
                  new TierStats("disk", Map.of(), 1_001, 9_009, 21, 22, 23, 24, 26, 25),
                  List.of(new KvStats.FormatStats("p4", 31, 678)),
                  new KvStats.RecallStats(27, 28, 29))),
          List.of(new CodecStats("p4", 40, 2_000_000_000L, 7_000, 500_000_000L, 3, 1, 100)));
    }

    @Override
    public @Nullable CachePicture picture(Duration limit) {
      return null;
    }

    @Override
    public boolean drain(Duration limit) {
      return true;
    }

    @Override
    public boolean isAlive() {
      return true;
    }
  }

  private static String scrapeAfterSomeWork() {
    var metrics = new ServerMetrics();
    EngineListener listener = metrics.listener("m", () -> {});
    metrics.bind("m", 64, new Worked());
    listener.onStep(new EngineListener.StepStats(100, 90, 3, 3, 2, 1, 5_000_000));
    listener.onScheduled(1_000_000);
    listener.onFirstToken(30_000_000);
    listener.onNextToken(4_000_000);
    long second = 1_000_000_000L;
    listener.onFinished(
        new EngineListener.RequestStats(
            "r",
            50,
            16,
            10,
            8,
            0,
            List.of(FinishReason.LENGTH),
            new Timing(second, 2 * second, 3 * second, 10 * second)));
    return metrics.scrape();
  }

  @Test
  void timesAreInTheBucketsThatTheyBelongTo() {
    List<String> lines = scrapeAfterSomeWork().lines().toList();
    // The step took 5 ms, the first token 30, the next 4; 7 seconds brought the 7 after the first.
    assertBuckets(lines, "tessera_step_seconds", "0.0025", "0.005");
    assertBuckets(lines, "vllm:time_to_first_token_seconds", "0.02", "0.04");
    assertBuckets(lines, "vllm:inter_token_latency_seconds", "0.0025", "0.005");
    assertBuckets(lines, "vllm:request_queue_time_seconds", null, "0.3");
    assertBuckets(lines, "vllm:request_time_per_output_token_seconds", "0.75", "1.0");
    assertBuckets(lines, "vllm:request_decode_time_seconds", "5.0", "10.0");
    assertBuckets(lines, "vllm:e2e_request_latency_seconds", "5.0", "10.0");
  }

  /// The one value of a histogram is over `below`, and `within` at most.
  private static void assertBuckets(
      List<String> lines, String name, @Nullable String below, String within) {
    if (below != null) {
      assertEquals(0, bucket(lines, name, below), name);
    }
    assertEquals(1, bucket(lines, name, within), name);
  }

  private static double bucket(List<String> lines, String name, String bound) {
    return lines.stream()
        .filter(line -> line.startsWith(name + "_bucket{"))
        .filter(line -> line.contains("le=\"" + bound + "\""))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .findFirst()
        .orElseThrow(() -> new AssertionError(name + " has no bucket " + bound));
  }

  @Test
  void tilesAreCountedByFormat() {
    String text = scrapeAfterSomeWork();
    for (String line :
        List.of(
            "tessera_kv_tiles{engine=\"0\",format=\"p4\",model_name=\"m\",tier=\"device\"} 12.0",
            "tessera_kv_tile_bytes{engine=\"0\",format=\"p4\",model_name=\"m\",tier=\"device\"}"
                + " 345.0",
            "tessera_kv_tiles{engine=\"0\",format=\"p4\",model_name=\"m\",tier=\"disk\"} 31.0",
            "tessera_kv_tile_bytes{engine=\"0\",format=\"p4\",model_name=\"m\",tier=\"disk\"}"
                + " 678.0",
            "tessera_kv_tier_bytes_used{engine=\"0\",model_name=\"m\",tier=\"disk\"} 1001.0",
            "tessera_kv_tier_bytes_budget{engine=\"0\",model_name=\"m\",tier=\"disk\"} 9009.0",
            "tessera_kv_tier_stored_total{engine=\"0\",model_name=\"m\",tier=\"disk\"} 21.0",
            "tessera_kv_tier_declined_total{engine=\"0\",model_name=\"m\",tier=\"disk\"} 22.0",
            "tessera_kv_tier_fetched_total{engine=\"0\",model_name=\"m\",tier=\"disk\"} 23.0",
            "tessera_kv_tier_lost_total{engine=\"0\",model_name=\"m\",tier=\"disk\"} 24.0",
            "tessera_kv_tier_damaged_total{engine=\"0\",model_name=\"m\",tier=\"disk\"} 26.0",
            "tessera_kv_tier_dropped_total{engine=\"0\",model_name=\"m\",tier=\"disk\"} 25.0",
            "tessera_kv_tier_recalls_total{engine=\"0\",model_name=\"m\",result=\"hit\",tier=\"disk\"}"
                + " 27.0",
            "tessera_kv_tier_recalls_total{engine=\"0\",model_name=\"m\",result=\"outrun\","
                + "tier=\"disk\"} 29.0",
            "tessera_kv_coolings_total{engine=\"0\",model_name=\"m\"} 4.0",
            "tessera_kv_evictions_total{engine=\"0\",model_name=\"m\"} 3.0",
            "tessera_kv_bytes_tails{engine=\"0\",model_name=\"m\"} 20.0",
            "tessera_kv_pressure{engine=\"0\",model_name=\"m\"} 0.75")) {
      assertTrue(text.contains(line), line);
    }
  }

  @Test
  void codecsAreMeasuredByFormat() {
    String text = scrapeAfterSomeWork();
    String labels = "{engine=\"0\",format=\"p4\",model_name=\"m\"} ";
    for (String line :
        List.of(
            "tessera_kv_encoded_tiles_total" + labels + "40.0",
            "tessera_kv_encode_seconds_total" + labels + "2.0",
            "tessera_kv_decoded_tiles_total" + labels + "7000.0",
            "tessera_kv_decode_seconds_total" + labels + "0.5",
            "tessera_kv_reconstruction_samples_total" + labels + "3.0",
            "tessera_kv_reconstruction_error" + labels + "0.1")) {
      assertTrue(text.contains(line), line + "\n" + text);
    }
  }

  @Test
  void familiesHaveTheNamesAndTypesOfVllm() {
    Map<String, String> found = new HashMap<>();
    for (String line : scrapeAfterSomeWork().split("\n")) {
      if (line.startsWith("# TYPE ")) {
        String[] words = line.split(" ");
        assertEquals(null, found.put(words[2], words[3]), "twice: " + words[2]);
      }
    }
    FAMILIES.forEach((name, type) -> assertEquals(type, found.get(name), name));
  }

  @Test
  void valuesAreThoseOfTheEngine() {
    String text = scrapeAfterSomeWork();
    Map<String, Double> values = new HashMap<>();
    for (String line : text.split("\n")) {
      if (!line.startsWith("#") && !line.isBlank()) {
        int space = line.lastIndexOf(' ');
        values.put(line.substring(0, space), Double.parseDouble(line.substring(space + 1)));
      }
    }
    String labels = "{engine=\"0\",model_name=\"m\"}";
    assertEquals(
        0.3,
        values.get("vllm:kv_cache_usage_perc" + labels),
        "bytes of referenced blocks: those of layers with windows are smaller or fewer");
    assertEquals(7, values.get("vllm:request_decode_time_seconds_sum" + labels));
    assertEquals(1, values.get("vllm:request_time_per_output_token_seconds_sum" + labels));
    assertEquals(40, values.get("vllm:request_prefill_kv_computed_tokens_sum" + labels));
    String byHand = "{model_name=\"m\",engine=\"0\"}";
    assertEquals(100, values.get("vllm:iteration_tokens_total_sum" + byHand));
    assertTrue(text.contains("block_size=\"64\",num_gpu_blocks=\"100\""));
  }
}
