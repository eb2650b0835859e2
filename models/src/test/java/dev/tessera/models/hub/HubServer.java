package dev.tessera.models.hub;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/// A model hub on the loopback, with the faults that tests ask for.
final class HubServer implements AutoCloseable {
  private final HttpServer server;
  private final Map<String, Handler> handlers = new ConcurrentHashMap<>();

  /// Every request, as `path range authorization`.
  final List<String> requests = new CopyOnWriteArrayList<>();

  interface Handler {
    void handle(HttpExchange exchange) throws Exception;
  }

  HubServer() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.createContext("/", this::handle);
    server.start();
  }

  String address() {
    return "http://127.0.0.1:" + server.getAddress().getPort();
  }

  HubServer on(String path, Handler handler) {
    handlers.put(path, handler);
    return this;
  }

  /// Serves bytes, from where the client asks.
  HubServer serve(String path, byte[] bytes) {
    return on(path, exchange -> send(exchange, bytes, bytes.length, ARRIVED));
  }

  /// Serves bytes, but breaks off after some of them each time, once they have arrived in the
  /// client's file: what a broken connection has not delivered yet, the HTTP client throws away.
  HubServer serveWithCuts(String path, byte[] bytes, int bytesEachTime, Path written) {
    return on(
        path, exchange -> send(exchange, bytes, bytesEachTime, end -> awaitSize(written, end)));
  }

  /// Returns when the client has the bytes up to an offset.
  private interface Arrival {
    void await(int end) throws IOException;
  }

  private static final Arrival ARRIVED = end -> {};

  private static void awaitSize(Path file, int size) throws IOException {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!Files.exists(file) || Files.size(file) < size) {
      if (System.nanoTime() > deadline) {
        throw new IOException("%s has not reached %d bytes".formatted(file, size));
      }
      LockSupport.parkNanos(1_000_000);
    }
  }

  private static void send(HttpExchange exchange, byte[] bytes, int most, Arrival arrival)
      throws IOException {
    String range = exchange.getRequestHeaders().getFirst("Range");
    int from = 0;
    if (range != null) {
      from = Integer.parseInt(range.substring("bytes=".length(), range.length() - 1));
      exchange
          .getResponseHeaders()
          .add("Content-Range", "bytes %d-%d/%d".formatted(from, bytes.length - 1, bytes.length));
    }
    exchange.sendResponseHeaders(range == null ? 200 : 206, bytes.length - from);
    exchange.getResponseBody().write(bytes, from, Math.min(most, bytes.length - from));
    exchange.getResponseBody().flush();
    if (most < bytes.length - from) {
      arrival.await(from + most);
      throw new IOException("cut");
    }
  }

  HubServer redirect(String path, String location) {
    return on(
        path,
        exchange -> {
          exchange.getResponseHeaders().add("Location", location);
          exchange.sendResponseHeaders(302, -1);
        });
  }

  private void handle(HttpExchange exchange) throws IOException {
    String path = exchange.getRequestURI().getPath();
    var headers = exchange.getRequestHeaders();
    requests.add(path + " " + headers.getFirst("Range") + " " + headers.getFirst("Authorization"));
    Handler handler = handlers.get(path);
    try (exchange) {
      if (handler == null) {
        exchange.sendResponseHeaders(404, -1);
      } else {
        handler.handle(exchange);
      }
    } catch (Exception e) {
      throw new IOException(e);
    }
  }

  @Override
  public void close() {
    server.stop(0);
  }
}
