package dev.tessera.server.http;

import java.util.List;

/// Lets browsers of named origins call the server. Off unless origins are configured: a page from
/// anywhere must not drive a server on the reader's own machine.
final class Cors {
  private final List<String> origins;

  Cors(List<String> origins) {
    this.origins = origins;
  }

  /// Adds the headers for an allowed origin; answers a preflight.
  ///
  /// @return whether the exchange is answered
  boolean apply(Exchange exchange) {
    String origin = exchange.header("Origin");
    if (origin == null || origins.isEmpty()) {
      return false;
    }
    if (!origins.contains("*") && !origins.contains(origin)) {
      return false;
    }
    exchange.setHeader("Access-Control-Allow-Origin", origin);
    exchange.setHeader("Vary", "Origin");
    exchange.setHeader("Access-Control-Expose-Headers", "x-request-id, Retry-After");
    if (!exchange.method().equals("OPTIONS")) {
      return false;
    }
    exchange.setHeader("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    exchange.setHeader(
        "Access-Control-Allow-Headers", "Authorization, Content-Type, X-Api-Key, X-Request-Id");
    exchange.setHeader("Access-Control-Max-Age", "600");
    exchange.sendEmpty(204);
    return true;
  }
}
