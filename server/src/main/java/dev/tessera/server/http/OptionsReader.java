package dev.tessera.server.http;

import com.fasterxml.jackson.databind.JsonNode;
import dev.tessera.models.SamplingDefaults;
import dev.tessera.server.engine.SamplingParameters;
import dev.tessera.server.http.GenerationOptions.Streaming;
import dev.tessera.server.http.GenerationOptions.Truncation;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Reads [GenerationOptions] out of a request. A value comes from the request, else from the
/// model's own recommendation, else it is OpenAI's default.
final class OptionsReader {
  /// Below this a temperature means greedy, as in vLLM.
  private static final float GREEDY_BELOW = 1e-5f;

  /// Between greedy and this, temperatures are raised to it: logits divided by less overflow.
  private static final float SMALLEST_TEMPERATURE = 0.01f;

  private static final int MAX_TOKENS = 1 << 24;
  private static final int MAX_SALT_CHARACTERS = 128;

  private final Fields fields;
  private final RequestLimits limits;
  private final SamplingDefaults defaults;
  private final int logitWidth;

  OptionsReader(Fields fields, RequestLimits limits, SamplingDefaults defaults, int logitWidth) {
    this.fields = fields;
    this.limits = limits;
    this.defaults = defaults;
    this.logitWidth = logitWidth;
  }

  /// @param maxTokens as the endpoint reads it; null where the request says nothing
  /// @param addSpecialAbsent whether BOS is added where the request says nothing
  /// @param topLogprobs -1 for none
  /// @param promptLogprobs whether the prompt's tokens are scored too
  GenerationOptions read(
      @Nullable Integer maxTokens,
      boolean addSpecialAbsent,
      boolean echo,
      int topLogprobs,
      boolean promptLogprobs) {
    int minTokens = fields.integer("min_tokens", 0, 0, MAX_TOKENS);
    if (maxTokens != null && minTokens > maxTokens) {
      throw fields.invalid(
          "min_tokens", "must be at most max_tokens (%d), is %d".formatted(maxTokens, minTokens));
    }
    refuseUnsupported();
    return new GenerationOptions(
        samples(),
        maxTokens,
        minTokens,
        sampling(topLogprobs, promptLogprobs),
        stopStrings(),
        stopTokens(),
        fields.flag("include_stop_str_in_output", false),
        fields.flag("ignore_eos", false),
        fields.flag("skip_special_tokens", true),
        fields.flag("add_special_tokens", addSpecialAbsent),
        truncation(),
        echo,
        fields.flag("return_token_ids", false),
        fields.flag("return_tokens_as_token_ids", false),
        priority(),
        cacheSalt(),
        requestId(),
        streaming());
  }

  static int maxTokens(Fields fields, String name, int lowest, int absent) {
    return fields.integer(name, absent, lowest, MAX_TOKENS);
  }

  private int samples() {
    int samples = fields.limited("n", 1, 1, limits.samples(), "request.samples");
    Long bestOf = fields.integer("best_of", 1, Integer.MAX_VALUE);
    if (bestOf != null && bestOf != samples) {
      throw fields.invalid("best_of", "is not supported unless it equals n");
    }
    return samples;
  }

  private SamplingParameters sampling(int topLogprobs, boolean promptLogprobs) {
    float temperature =
        or(fields.number("temperature", 0, true, 2), defaults.temperature(), 1, 0, 2);
    if (temperature < GREEDY_BELOW) {
      temperature = 0;
    } else if (temperature < SMALLEST_TEMPERATURE) {
      temperature = SMALLEST_TEMPERATURE;
    }
    float topP = or(fields.number("top_p", 0, false, 1), defaults.topP(), 1, Float.MIN_VALUE, 1);
    float minP = or(fields.number("min_p", 0, true, 1), defaults.minP(), 0, 0, 1);
    Float presence = fields.number("presence_penalty", -2, true, 2);
    Float frequency = fields.number("frequency_penalty", -2, true, 2);
    float repetition =
        or(
            fields.number("repetition_penalty", 0, false, 1e6),
            defaults.repetitionPenalty(),
            1,
            Float.MIN_VALUE,
            1e6f);
    Long seed = fields.integer("seed", Long.MIN_VALUE, Long.MAX_VALUE);
    Bias bias = bias();
    return new SamplingParameters(
        temperature,
        Math.max(topP, Float.MIN_VALUE),
        topK(),
        minP,
        presence == null ? 0 : presence,
        frequency == null ? 0 : frequency,
        Math.max(repetition, Float.MIN_VALUE),
        seed == null || seed == -1 ? null : seed,
        bias.tokens,
        bias.values,
        topLogprobs,
        promptLogprobs ? topLogprobs : -1);
  }

  private int topK() {
    Long topK = fields.integer("top_k", -1, Integer.MAX_VALUE);
    if (topK != null) {
      return (int) Math.max(topK, 0);
    }
    Integer recommended = defaults.topK();
    return recommended == null ? 0 : Math.max(recommended, 0);
  }

  private static float or(
      @Nullable Float requested, @Nullable Float recommended, float absent, float low, float high) {
    if (requested != null) {
      return requested;
    }
    return recommended == null ? absent : Math.clamp(recommended, low, high);
  }

  private record Bias(int[] tokens, float[] values) {}

  /// `{"id": bias}` as OpenAI has it, or `[[id, bias]]` as llama.cpp does, where false bans a
  /// token.
  private Bias bias() {
    JsonNode value = fields.get("logit_bias");
    if (value == null) {
      return new Bias(new int[0], new float[0]);
    }
    if (!value.isObject() && !value.isArray()) {
      throw fields.wrongType("logit_bias", "an object of token ids and numbers", value);
    }
    if (value.size() > limits.logitBiases()) {
      throw fields.invalid(
          "logit_bias",
          "has %d entries; at most %d are allowed (request.logit-biases)"
              .formatted(value.size(), limits.logitBiases()));
    }
    int[] tokens = new int[value.size()];
    float[] values = new float[value.size()];
    int count = 0;
    if (value.isObject()) {
      for (var entry : value.properties()) {
        tokens[count] = biasToken(entry.getKey());
        values[count++] = biasValue(entry.getKey(), entry.getValue());
      }
    } else {
      for (JsonNode pair : value) {
        if (!pair.isArray() || pair.size() != 2 || !pair.get(0).isIntegralNumber()) {
          throw fields.invalid("logit_bias", "entry " + count + " must be [token id, bias]");
        }
        tokens[count] = biasToken(pair.get(0).asText());
        values[count++] = biasValue(pair.get(0).asText(), pair.get(1));
      }
    }
    return new Bias(tokens, values);
  }

  private int biasToken(String key) {
    int token;
    try {
      token = Integer.parseInt(key);
    } catch (NumberFormatException e) {
      throw fields.invalid(
          "logit_bias",
          "key '%s' is not a token id".formatted(Texts.printable(Texts.shortened(key, 40))));
    }
    if (token < 0 || token >= logitWidth) {
      throw fields.invalid(
          "logit_bias",
          "token %d is out of vocabulary, token ids are from 0 to %d"
              .formatted(token, logitWidth - 1));
    }
    return token;
  }

  private float biasValue(String key, JsonNode value) {
    if (value.isBoolean() && !value.booleanValue()) {
      return Float.NEGATIVE_INFINITY;
    }
    if (!value.isNumber()) {
      throw fields.invalid(
          "logit_bias",
          "of token %s must be a number".formatted(Texts.printable(Texts.shortened(key, 40))));
    }
    return (float) Math.clamp(value.doubleValue(), -100, 100);
  }

  private List<String> stopStrings() {
    JsonNode value = fields.get("stop");
    if (value == null) {
      return List.of();
    }
    List<String> stops = new ArrayList<>();
    if (value.isTextual()) {
      stops.add(value.textValue());
    } else {
      for (JsonNode stop :
          nonNull(fields.list("stop", limits.stopStrings(), "request.stop-strings"))) {
        if (!stop.isTextual()) {
          throw fields.wrongType("stop", "a string or a list of strings", stop);
        }
        stops.add(stop.textValue());
      }
    }
    for (String stop : stops) {
      if (stop.isEmpty()) {
        throw fields.invalid("stop", "must not hold an empty string");
      }
      if (stop.length() > limits.stopCharacters()) {
        throw fields.invalid(
            "stop",
            "holds a string of %d characters; at most %d are allowed (request.stop-characters)"
                .formatted(stop.length(), limits.stopCharacters()));
      }
    }
    return List.copyOf(stops);
  }

  private Set<Integer> stopTokens() {
    List<JsonNode> list =
        fields.list("stop_token_ids", limits.logitBiases(), "request.logit-biases");
    if (list == null) {
      return Set.of();
    }
    Set<Integer> tokens = new LinkedHashSet<>();
    for (int id :
        Fields.tokenIds("stop_token_ids", nonNull(fields.get("stop_token_ids")), logitWidth)) {
      tokens.add(id);
    }
    return tokens;
  }

  private @Nullable Truncation truncation() {
    Long tokens = fields.integer("truncate_prompt_tokens", -1, MAX_TOKENS);
    String side = fields.text("truncation_side");
    if (side != null && !side.equals("left") && !side.equals("right")) {
      throw fields.invalid("truncation_side", "must be 'left' or 'right'");
    }
    if (tokens == null) {
      return null;
    }
    if (tokens == 0) {
      throw fields.invalid("truncate_prompt_tokens", "must be -1 or at least 1, is 0");
    }
    return new Truncation(tokens.intValue(), !"right".equals(side));
  }

  private long priority() {
    Long priority = fields.integer("priority", Long.MIN_VALUE, Long.MAX_VALUE);
    return priority == null ? 0 : priority;
  }

  private @Nullable String cacheSalt() {
    String salt = fields.text("cache_salt");
    if (salt == null) {
      return null;
    }
    boolean odd =
        salt.isEmpty()
            || salt.length() > MAX_SALT_CHARACTERS
            || salt.chars().anyMatch(c -> c == '@' || c == '/' || c == '\\' || c == 0);
    if (odd) {
      throw fields.invalid(
          "cache_salt", "must have 1 to 128 characters, none of them '@', '/', '\\' or NUL");
    }
    return salt;
  }

  private @Nullable String requestId() {
    String id = fields.text("request_id");
    if (id != null && !RequestId.isSound(id)) {
      throw fields.invalid("request_id", "must have 1 to 128 of the characters A-Za-z0-9_.:-");
    }
    return id;
  }

  private Streaming streaming() {
    boolean stream = fields.flag("stream", false);
    Fields options = fields.nested("stream_options");
    if (options != null && !stream) {
      throw fields.invalid("stream_options", "is only allowed with stream=true");
    }
    boolean usage = options != null && options.flag("include_usage", false);
    boolean running = options != null && options.flag("continuous_usage_stats", false);
    return new Streaming(stream, usage, usage && running);
  }

  private void refuseUnsupported() {
    Fields format = fields.nested("response_format");
    if (format != null) {
      String type = format.text("type");
      if (type == null || !type.equals("text")) {
        throw fields.invalid(
            "response_format", "other than {\"type\": \"text\"} is not supported by this server");
      }
    }
    for (String field : new String[] {"structured_outputs", "grammar", "json_schema", "regex"}) {
      if (fields.has(field)) {
        throw fields.invalid(field, "is not supported: this server has no structured output");
      }
    }
    if (fields.flag("use_beam_search", false)) {
      throw fields.invalid("use_beam_search", "is not supported");
    }
    if (fields.has("prompt_embeds")) {
      throw fields.invalid("prompt_embeds", "is not supported");
    }
    if (fields.has("prompt_logprobs")) {
      throw fields.invalid("prompt_logprobs", "is not supported; use echo with logprobs");
    }
    fields.ignore("user", "spaces_between_special_tokens", "model");
  }

  private static <T> T nonNull(@Nullable T value) {
    return java.util.Objects.requireNonNull(value);
  }
}
