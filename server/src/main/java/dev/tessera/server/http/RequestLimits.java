package dev.tessera.server.http;

/// What one request may ask for. Each limit is a configuration key of its name under `request.`.
///
/// @param bodyBytes bytes of a body (`http.body-bytes`)
/// @param samples continuations of a prompt (`n`)
/// @param prompts prompts in a list
/// @param stopStrings stop strings
/// @param stopCharacters characters of a stop string
/// @param logprobs alternatives reported with a token
/// @param logitBiases biased tokens
public record RequestLimits(
    int bodyBytes,
    int samples,
    int prompts,
    int stopStrings,
    int stopCharacters,
    int logprobs,
    int logitBiases) {

  public static final RequestLimits DEFAULT =
      new RequestLimits(8 * 1024 * 1024, 8, 64, 16, 256, 20, 1024);

  public RequestLimits {
    requirePositive("body-bytes", bodyBytes);
    requirePositive("samples", samples);
    requirePositive("prompts", prompts);
    requirePositive("stop-strings", stopStrings);
    requirePositive("stop-characters", stopCharacters);
    requirePositive("logprobs", logprobs);
    requirePositive("logit-biases", logitBiases);
  }

  private static void requirePositive(String name, int value) {
    if (value < 1) {
      throw new IllegalArgumentException("request." + name + " must be at least 1, is " + value);
    }
  }
}
