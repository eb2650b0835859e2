package dev.tessera.server.http;

import java.time.Duration;
import java.util.List;

/// How the server listens, and what a connection may cost.
///
/// @param port 0 takes a free one
/// @param managementPort port of a second listener for `/metrics` and `/health`; -1 for none, 0
///   takes a free one
/// @param apiKeys any of them lets a request in; empty lets every request in
/// @param corsOrigins origins that browsers may call from; `*` for all; empty switches CORS off
/// @param maxConnections TCP connections
/// @param maxRequests requests being answered at once by the generation endpoints
/// @param idle time that a connection may wait for a request
/// @param header time from a request's first byte to the end of its headers
/// @param body time from there to the end of its body
/// @param write time that a write may wait for a client that does not read
/// @param request time that a request may take altogether
/// @param keepAlive silence after which an event stream gets a comment
public record HttpSettings(
    String host,
    int port,
    int managementPort,
    List<String> apiKeys,
    List<String> corsOrigins,
    int maxConnections,
    int maxRequests,
    Duration idle,
    Duration header,
    Duration body,
    Duration write,
    Duration request,
    Duration keepAlive,
    RequestLimits limits) {

  public static final HttpSettings DEFAULT =
      new HttpSettings(
          "127.0.0.1",
          8000,
          -1,
          List.of(),
          List.of(),
          4096,
          1024,
          Duration.ofMinutes(5),
          Duration.ofSeconds(10),
          Duration.ofSeconds(30),
          Duration.ofSeconds(60),
          Duration.ofHours(1),
          Duration.ofSeconds(10),
          RequestLimits.DEFAULT);

  public HttpSettings {
    apiKeys = List.copyOf(apiKeys);
    corsOrigins = List.copyOf(corsOrigins);
    requirePort("server.port", port, 0);
    requirePort("server.management-port", managementPort, -1);
    if (maxConnections < 1 || maxRequests < 1) {
      throw new IllegalArgumentException(
          "http.max-connections (%d) and http.max-requests (%d) must be at least 1"
              .formatted(maxConnections, maxRequests));
    }
    for (String key : apiKeys) {
      if (key.isBlank()) {
        throw new IllegalArgumentException("an API key (server.api-key) must not be blank");
      }
    }
  }

  private static void requirePort(String name, int port, int lowest) {
    if (port < lowest || port > 65_535) {
      throw new IllegalArgumentException(
          "%s must be from %d to 65535, is %d".formatted(name, lowest, port));
    }
  }
}
