package dev.tessera.server.cli;

import dev.tessera.server.engine.EngineListener;
import dev.tessera.server.http.ApiServer;
import dev.tessera.server.http.HttpSettings;
import dev.tessera.server.metrics.ServerMetrics;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.List;

/// A server for this process alone: a free port of the loopback address, and a key that nobody else
/// knows. What `chat` and `run` use where no `--url` names another.
final class LocalServer implements AutoCloseable {
  private final LoadedEngine engine;
  private final ApiServer server;
  private final String key;

  private LocalServer(LoadedEngine engine, ApiServer server, String key) {
    this.engine = engine;
    this.server = server;
    this.key = key;
  }

  static LocalServer start(Configuration configuration) throws InterruptedException {
    LoadedEngine engine = LoadedEngine.load(configuration, name -> EngineListener.NONE);
    byte[] random = new byte[16];
    new SecureRandom().nextBytes(random);
    String key = HexFormat.of().formatHex(random);
    ApiServer server = ApiServer.start(settings(key), new ServerMetrics(), Version.text());
    server.ready(engine.served());
    return new LocalServer(engine, server, key);
  }

  private static HttpSettings settings(String key) {
    HttpSettings d = HttpSettings.DEFAULT;
    return new HttpSettings(
        d.host(),
        0,
        -1,
        List.of(key),
        List.of(),
        d.maxConnections(),
        d.maxRequests(),
        d.idle(),
        d.header(),
        d.body(),
        d.write(),
        d.request(),
        d.keepAlive(),
        d.limits());
  }

  String url() {
    return "http://127.0.0.1:" + server.port();
  }

  String key() {
    return key;
  }

  LoadedEngine engine() {
    return engine;
  }

  @Override
  public void close() {
    server.close();
    engine.close();
  }
}
