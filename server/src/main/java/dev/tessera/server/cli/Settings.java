package dev.tessera.server.cli;

import dev.tessera.server.http.HttpSettings;
import dev.tessera.server.http.RequestLimits;
import java.time.Duration;

/// The configuration as the records of the parts.
final class Settings {
  private Settings() {}

  static HttpSettings http(Configuration c) {
    return new HttpSettings(
        c.get(Options.HOST),
        c.get(Options.PORT),
        c.get(Options.MANAGEMENT_PORT),
        c.get(Options.API_KEYS),
        c.get(Options.CORS_ORIGINS),
        c.get(Options.MAX_CONNECTIONS),
        c.get(Options.MAX_REQUESTS),
        Duration.ofSeconds(c.get(Options.IDLE_SECONDS)),
        Duration.ofSeconds(c.get(Options.HEADER_SECONDS)),
        Duration.ofSeconds(c.get(Options.BODY_SECONDS)),
        Duration.ofSeconds(c.get(Options.WRITE_SECONDS)),
        Duration.ofSeconds(c.get(Options.REQUEST_SECONDS)),
        Duration.ofSeconds(c.get(Options.KEEP_ALIVE_SECONDS)),
        limits(c));
  }

  private static RequestLimits limits(Configuration c) {
    return new RequestLimits(
        c.get(Options.BODY_BYTES),
        c.get(Options.SAMPLES),
        c.get(Options.PROMPTS),
        c.get(Options.STOP_STRINGS),
        c.get(Options.STOP_CHARACTERS),
        c.get(Options.LOGPROBS),
        c.get(Options.LOGIT_BIASES),
        c.get(Options.SEQUENCES),
        c.get(Options.GENERATED_TOKENS));
  }
}
