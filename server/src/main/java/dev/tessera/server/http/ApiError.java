package dev.tessera.server.http;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.tessera.server.engine.Admission;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// An error as clients see it: OpenAI's nested object, with the keys that other servers' clients
/// look for beside it.
///
/// @param type OpenAI's class of the error, for example `invalid_request_error`
/// @param param the field at fault, where there is one
/// @param reason OpenAI's textual code, where there is one; `code` itself is the status, as vLLM
///   and llama.cpp have it
/// @param details further keys of the error object
/// @param headers further response headers
record ApiError(
    int status,
    String type,
    String message,
    @Nullable String param,
    @Nullable String reason,
    Map<String, Long> details,
    Map<String, String> headers) {
  static final String INVALID = "invalid_request_error";

  /// Seconds after which an overloaded or loading server may be asked again.
  private static final Map<String, String> RETRY_SOON = Map.of("Retry-After", "1");

  ApiError(int status, String type, String message) {
    this(status, type, message, null, null, Map.of(), Map.of());
  }

  static ApiError badRequest(@Nullable String param, String message) {
    return new ApiError(400, INVALID, message, param, null, Map.of(), Map.of());
  }

  static ApiError unauthorized() {
    return new ApiError(
        401,
        "authentication_error",
        "Missing or wrong API key: send it as 'Authorization: Bearer KEY' or 'X-Api-Key: KEY'",
        null,
        "invalid_api_key",
        Map.of(),
        Map.of("WWW-Authenticate", "Bearer"));
  }

  static ApiError noSuchRoute(String method, String path) {
    return new ApiError(404, "not_found_error", "No such route: " + method + " " + path);
  }

  static ApiError wrongMethod(String method, String path, String allow) {
    return new ApiError(
        405,
        INVALID,
        "%s does not take %s, only %s".formatted(path, method, allow),
        null,
        "method_not_allowed",
        Map.of(),
        Map.of("Allow", allow));
  }

  static ApiError noSuchModel(String name) {
    return new ApiError(
        404,
        "not_found_error",
        "The model '" + name + "' does not exist.",
        "model",
        "model_not_found",
        Map.of(),
        Map.of());
  }

  static ApiError bodyTooLarge(long limit) {
    return new ApiError(
        413, INVALID, "the body is larger than %,d bytes (http.body-bytes)".formatted(limit));
  }

  static ApiError loading() {
    return new ApiError(
        503,
        "unavailable_error",
        "Loading model",
        null,
        null,
        Map.of(),
        Map.of("Retry-After", "1"));
  }

  static ApiError unavailable(String message) {
    return new ApiError(503, "unavailable_error", message, null, null, Map.of(), RETRY_SOON);
  }

  static ApiError draining() {
    return new ApiError(
        503, "unavailable_error", "The server is about to stop", null, null, Map.of(), RETRY_SOON);
  }

  /// One sentence with every phrase that clients search for to learn the window.
  static ApiError contextExceeded(int promptTokens, int maxTokens, int limit) {
    long wanted = (long) promptTokens + maxTokens;
    return new ApiError(
        400,
        INVALID,
        ("This model's maximum context length is %d tokens (model.context): the request (%d"
                + " tokens) exceeds the available context size (%d tokens). It is longer than the"
                + " model's context length, or max_completion_tokens is too large: %d in the prompt"
                + " and %d to generate.")
            .formatted(limit, wanted, limit, promptTokens, maxTokens),
        promptTokens >= limit ? "messages" : "max_tokens",
        "context_length_exceeded",
        Map.of("n_prompt_tokens", (long) promptTokens, "n_ctx", (long) limit),
        Map.of());
  }

  /// What a refusal of the engine becomes; null for an acceptance.
  static @Nullable ApiError of(Admission admission) {
    return switch (admission) {
      case Admission.Accepted accepted -> null;
      case Admission.TooLong(int prompt, int max, int limit) -> contextExceeded(prompt, max, limit);
      case Admission.NeverFits(int prompt, int max, long capacity) ->
          new ApiError(
              400,
              INVALID,
              ("the request may need %d tokens of cache (%d in the prompt, %d to generate); the"
                      + " cache holds %d (kv-cache.memory)")
                  .formatted((long) prompt + max, prompt, max, capacity),
              "max_tokens",
              "context_length_exceeded",
              Map.of("n_prompt_tokens", (long) prompt, "n_ctx", capacity),
              Map.of());
      case Admission.QueueFull(int waiting, int limit) ->
          overloaded(
              "%d requests wait already; the limit is %d (scheduler.max-queued-requests)"
                  .formatted(waiting, limit));
      case Admission.PromptBacklog(long waiting, long limit) ->
          overloaded(
              "%d prompt tokens wait already; the limit is %d (scheduler.max-queued-prompt-tokens)"
                  .formatted(waiting, limit));
      case Admission.Draining() -> draining();
      case Admission.Failed(String reason) ->
          new ApiError(
              500,
              "server_error",
              "The engine has failed: " + reason,
              null,
              null,
              Map.of(),
              Map.of("x-should-retry", "false"));
    };
  }

  private static ApiError overloaded(String message) {
    return new ApiError(429, "rate_limit_error", message, null, "overloaded", Map.of(), RETRY_SOON);
  }

  static ApiError tooManyRequests(int limit) {
    return overloaded(
        "%d requests are being answered already (http.max-requests)".formatted(limit));
  }

  static ApiError internal() {
    return new ApiError(
        500,
        "server_error",
        "Internal error; the server's log has it under this request's id",
        null,
        null,
        Map.of(),
        Map.of("x-should-retry", "false"));
  }

  /// `{"error": {…}}`.
  ObjectNode toJson() {
    ObjectNode error = JsonNodeFactory.instance.objectNode();
    error.put("object", "error");
    error.put("message", message);
    error.put("type", type);
    error.put("param", param);
    error.put("code", status);
    if (reason != null) {
      error.put("reason", reason);
    }
    details.forEach(error::put);
    ObjectNode body = JsonNodeFactory.instance.objectNode();
    body.set("error", error);
    return body;
  }

  ApiException asException() {
    return new ApiException(this);
  }
}
