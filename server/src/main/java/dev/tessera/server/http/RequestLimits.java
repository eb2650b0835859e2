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
/// @param sequences prompts times samples
/// @param generatedTokens tokens that all sequences may generate together
public record RequestLimits(
    int bodyBytes,
    int samples,
    int prompts,
    int stopStrings,
    int stopCharacters,
    int logprobs,
    int logitBiases,
    int sequences,
    int generatedTokens) {

  public static final RequestLimits DEFAULT =
      new RequestLimits(8 * 1024 * 1024, 8, 64, 16, 256, 20, 1024, 128, 1 << 20);

  public RequestLimits {
    requirePositive("body-bytes", bodyBytes);
    requirePositive("samples", samples);
    requirePositive("prompts", prompts);
    requirePositive("stop-strings", stopStrings);
    requirePositive("stop-characters", stopCharacters);
    requirePositive("logprobs", logprobs);
    requirePositive("logit-biases", logitBiases);
    requirePositive("sequences", sequences);
    requirePositive("generated-tokens", generatedTokens);
  }

  /// Limits the product: a request that keeps to each limit by itself may still ask for a flood.
  ///
  /// @param tokensField where the request says how much each sequence may generate
  /// @throws ApiException with status 400
  void requireBounded(int prompts, int samples, int maxTokens, String tokensField) {
    long wanted = (long) prompts * samples;
    if (wanted > sequences) {
      String field = samples > 1 ? "n" : "prompt";
      throw ApiError.badRequest(
              field,
              ("%s: %,d prompts with %,d samples each are %,d sequences; at most %,d are"
                      + " allowed (request.sequences)")
                  .formatted(field, prompts, samples, wanted, sequences))
          .asException();
    }
    if (wanted * maxTokens > generatedTokens) {
      throw ApiError.badRequest(
              tokensField,
              ("%s: %,d sequences with %,d tokens each may generate %,d; at most %,d are"
                      + " allowed (request.generated-tokens)")
                  .formatted(tokensField, wanted, maxTokens, wanted * maxTokens, generatedTokens))
          .asException();
    }
  }

  private static void requirePositive(String name, int value) {
    if (value < 1) {
      throw new IllegalArgumentException("request." + name + " must be at least 1, is " + value);
    }
  }
}
