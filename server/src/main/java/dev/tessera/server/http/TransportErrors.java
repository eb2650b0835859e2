package dev.tessera.server.http;

import com.fasterxml.jackson.core.JsonProcessingException;
import io.helidon.http.DirectHandler;
import io.helidon.http.DirectHandler.EventType;
import io.helidon.http.DirectHandler.TransportRequest;
import io.helidon.http.DirectHandler.TransportResponse;
import io.helidon.http.HeaderNames;
import io.helidon.http.ServerResponseHeaders;
import io.helidon.http.Status;
import io.helidon.webserver.http.DirectHandlers;
import org.jspecify.annotations.Nullable;

/// Errors that Helidon finds before a handler sees the request, in the shape of all others.
final class TransportErrors implements DirectHandler {
  /// What Helidon says of headers over the limit; it has no status of its own for them.
  private static final String HEADERS_TOO_LARGE = "Header size exceeded";

  private final int bodyLimit;

  private TransportErrors(int bodyLimit) {
    this.bodyLimit = bodyLimit;
  }

  static DirectHandlers handlers(int bodyLimit) {
    var builder = DirectHandlers.builder();
    for (EventType type : EventType.values()) {
      builder.addHandler(type, new TransportErrors(bodyLimit));
    }
    return builder.build();
  }

  @Override
  public TransportResponse handle(
      TransportRequest request,
      EventType type,
      Status status,
      ServerResponseHeaders headers,
      @Nullable String message) {
    ApiError error = error(status, message, bodyLimit);
    String given =
        request.headers().contains(Exchange.REQUEST_ID)
            ? request.headers().get(Exchange.REQUEST_ID).get()
            : null;
    try {
      return TransportResponse.builder()
          .status(Status.create(error.status()))
          .headers(headers)
          .header(HeaderNames.CONTENT_TYPE, "application/json")
          .header(Exchange.REQUEST_ID, RequestId.of(given))
          .entity(JsonBody.MAPPER.writeValueAsBytes(error.toJson()))
          .keepAlive(false)
          .build();
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  static ApiError error(Status status, @Nullable String message, int bodyLimit) {
    if (message != null && message.startsWith(HEADERS_TOO_LARGE)) {
      return new ApiError(431, ApiError.INVALID, "the request's headers are larger than 16 KiB");
    }
    if (status.code() == 413) {
      return ApiError.bodyTooLarge(bodyLimit);
    }
    if (status.code() >= 500 && status.code() != 505) {
      return new ApiError(status.code(), "server_error", "Internal error");
    }
    String text = message == null || message.isBlank() ? status.reasonPhrase() : message;
    return new ApiError(
        status.code(), ApiError.INVALID, Texts.printable(Texts.shortened(text, 200)));
  }
}
