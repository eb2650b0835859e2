package dev.tessera.models;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Reads [SamplingDefaults], with the ranges in which a request could ask for the same.
final class Recommendations {

  private Recommendations() {}

  static SamplingDefaults fromGguf(Settings metadata) throws ModelFormatException {
    return read(
        metadata,
        "general.sampling.temp",
        "general.sampling.top_k",
        "general.sampling.top_p",
        "general.sampling.min_p",
        "general.sampling.penalty_repeat");
  }

  static SamplingDefaults fromHuggingFace(Path directory) throws IOException, ModelFormatException {
    Map<String, Object> config = JsonFile.read(directory.resolve("generation_config.json"));
    return config == null
        ? SamplingDefaults.NONE
        : read(
            Settings.of("generation_config.json", config),
            "temperature",
            "top_k",
            "top_p",
            "min_p",
            "repetition_penalty");
  }

  private static SamplingDefaults read(
      Settings settings,
      String temperature,
      String topK,
      String topP,
      String minP,
      String repetitionPenalty)
      throws ModelFormatException {
    return new SamplingDefaults(
        number(settings, temperature, 0, 100),
        settings.has(topK) ? (Integer) settings.integer(topK, -1, Integer.MAX_VALUE) : null,
        number(settings, topP, 0, 1),
        number(settings, minP, 0, 1),
        number(settings, repetitionPenalty, 1e-3, 100));
  }

  private static @Nullable Float number(Settings settings, String key, double least, double most)
      throws ModelFormatException {
    return settings.has(key) ? (Float) (float) settings.number(key, least, most) : null;
  }
}
