package dev.tessera.server.http;

import io.helidon.http.HttpPrologue;
import io.helidon.http.Method;
import io.helidon.http.ServerRequestHeaders;
import io.helidon.http.WritableHeaders;
import io.helidon.http.media.ReadableEntity;
import io.helidon.webserver.http.ServerRequest;
import io.helidon.webserver.http.ServerResponse;
import java.io.ByteArrayInputStream;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.time.Duration;

/// An [Exchange] without a network: a body goes in, and what is sent in one piece comes out.
final class FakeExchange {
  private final byte[] body;
  private byte[] answer;

  FakeExchange(byte[] body) {
    this.body = body;
  }

  /// What was sent, or null.
  byte[] answer() {
    return answer;
  }

  /// It has no connection: an engine behind it must not accept.
  Exchange exchange() {
    var prologue =
        HttpPrologue.create("HTTP/1.1", "HTTP", "1.1", Method.POST, "/v1/completions", false);
    var headers = ServerRequestHeaders.create(WritableHeaders.create());
    ReadableEntity entity =
        fake(
            ReadableEntity.class,
            (proxy, method, arguments) ->
                switch (method.getName()) {
                  case "hasEntity" -> body.length > 0;
                  case "inputStream" -> new ByteArrayInputStream(body);
                  default -> throw new UnsupportedOperationException(method.getName());
                });
    ServerRequest request =
        fake(
            ServerRequest.class,
            (proxy, method, arguments) ->
                switch (method.getName()) {
                  case "prologue" -> prologue;
                  case "headers" -> headers;
                  case "content" -> entity;
                  default -> throw new UnsupportedOperationException(method.getName());
                });
    ServerResponse response =
        fake(
            ServerResponse.class,
            (proxy, method, arguments) ->
                switch (method.getName()) {
                  case "status", "header" -> proxy;
                  case "send" -> {
                    answer = (byte[]) arguments[0];
                    yield null;
                  }
                  default -> throw new UnsupportedOperationException(method.getName());
                });
    var memory = new BodyMemory(1 << 30, 1 << 23, Duration.ofSeconds(5));
    return new Exchange(request, response, null, "request-1", "", memory.share());
  }

  private static <T> T fake(Class<T> type, InvocationHandler handler) {
    return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, handler));
  }
}
