package dev.tessera.server.http;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.helidon.http.DirectHandler.EventType;
import io.helidon.http.HeaderName;
import io.helidon.http.HeaderNames;
import io.helidon.http.HeaderValues;
import io.helidon.http.RequestException;
import io.helidon.http.Status;
import io.helidon.webserver.CloseConnectionException;
import io.helidon.webserver.http.ServerRequest;
import io.helidon.webserver.http.ServerResponse;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// One request and the means to answer it.
final class Exchange {
  static final HeaderName REQUEST_ID = HeaderNames.create("x-request-id");

  private final ServerRequest request;
  private final ServerResponse response;
  private final ClientConnection connection;
  private final String requestId;
  private final String tenant;
  private final BodyMemory.Share memory;
  private int status;

  /// @param tenant the part of the cache salt that belongs to the caller's key
  /// @param memory for the body, until [#forgetBody]
  Exchange(
      ServerRequest request,
      ServerResponse response,
      ClientConnection connection,
      String requestId,
      String tenant,
      BodyMemory.Share memory) {
    this.request = request;
    this.response = response;
    this.connection = connection;
    this.requestId = requestId;
    this.tenant = tenant;
    this.memory = memory;
  }

  ClientConnection connection() {
    return connection;
  }

  String requestId() {
    return requestId;
  }

  String tenant() {
    return tenant;
  }

  String method() {
    return request.prologue().method().text();
  }

  String path() {
    return request.prologue().uriPath().path();
  }

  @Nullable String header(String name) {
    return request.headers().first(HeaderNames.create(name)).orElse(null);
  }

  /// The status that was sent, 0 before.
  int status() {
    return status;
  }

  /// The body as a JSON object.
  ///
  /// @throws ApiException with status 400 or 415
  ObjectNode json() {
    String type = header("Content-Type");
    if (type != null && !isJson(type)) {
      throw new ApiError(
              415, ApiError.INVALID, "the body must be JSON (Content-Type: application/json)")
          .asException();
    }
    if (!request.content().hasEntity()) {
      throw ApiError.badRequest(null, "the request has no body").asException();
    }
    byte[] body = body();
    memory.parse(body.length);
    return JsonBody.parse(body);
  }

  /// Says that nothing refers to the body or to its object any more: before an answer that takes a
  /// while.
  void forgetBody() {
    memory.close();
  }

  private byte[] body() {
    try {
      // Not closed on failure: closing reads on, and what is left of a broken body may never come.
      InputStream in = request.content().inputStream();
      byte[] start = in.readNBytes(BodyMemory.SMALL);
      if (start.length < BodyMemory.SMALL) {
        return start;
      }
      memory.receive(request.headers().contentLength().orElse(-1));
      byte[] rest = in.readAllBytes();
      byte[] all = Arrays.copyOf(start, start.length + rest.length);
      System.arraycopy(rest, 0, all, start.length, rest.length);
      return all;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (RequestException | CloseConnectionException | ApiException e) {
      throw e;
    } catch (RuntimeException e) {
      if (connection.isGone()) {
        throw new CloseConnectionException("the client left before its body was complete", e);
      }
      // A chunk size that is no number leaves Helidon as it is thrown.
      throw RequestException.builder()
          .type(EventType.BAD_REQUEST)
          .setKeepAlive(false)
          .safeMessage(true)
          .message("the body's framing is broken")
          .cause(e)
          .build();
    }
  }

  private static boolean isJson(String type) {
    int end = type.indexOf(';');
    String media = (end < 0 ? type : type.substring(0, end)).strip().toLowerCase(Locale.ROOT);
    return media.equals("application/json") || media.endsWith("+json");
  }

  void setHeader(String name, String value) {
    response.header(HeaderNames.create(name), value);
  }

  void sendJson(int code, JsonNode body) {
    try {
      sendJson(code, JsonBody.MAPPER.writeValueAsBytes(body));
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  void sendJson(int code, byte[] body) {
    send(code, "application/json", body);
  }

  void sendText(int code, String type, String body) {
    send(code, type, body.getBytes(StandardCharsets.UTF_8));
  }

  void sendEmpty(int code) {
    status = code;
    response.status(Status.create(code));
    response.send();
  }

  private void send(int code, String type, byte[] body) {
    status = code;
    response.status(Status.create(code));
    setHeader("Content-Type", type);
    if (method().equals("HEAD")) {
      response.header(HeaderValues.create(HeaderNames.CONTENT_LENGTH, body.length));
      response.send();
    } else {
      response.send(body);
    }
  }

  void sendError(ApiError error) {
    failed(error);
    error.headers().forEach(this::setHeader);
    sendJson(error.status(), error.toJson());
  }

  /// Notes an error that can no longer change the status line.
  void failed(ApiError error) {
    status = error.status();
  }

  boolean isSent() {
    return response.isSent();
  }

  /// Commits status 200 and the headers of an event stream with its first flush.
  OutputStream openEventStream() {
    status = 200;
    setHeader("Content-Type", "text/event-stream; charset=utf-8");
    setHeader("Cache-Control", "no-cache");
    setHeader("X-Accel-Buffering", "no");
    return response.outputStream();
  }
}
