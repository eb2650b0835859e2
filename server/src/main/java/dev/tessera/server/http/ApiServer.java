package dev.tessera.server.http;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.tessera.server.metrics.ServerMetrics;
import io.helidon.common.socket.SocketOptions;
import io.helidon.http.HeaderName;
import io.helidon.http.HeaderNames;
import io.helidon.http.HeaderValues;
import io.helidon.http.RequestException;
import io.helidon.webserver.CloseConnectionException;
import io.helidon.webserver.ConnectionContext;
import io.helidon.webserver.ErrorHandling;
import io.helidon.webserver.ListenerConfig;
import io.helidon.webserver.WebServer;
import io.helidon.webserver.http.HttpRouting;
import io.helidon.webserver.http.ServerRequest;
import io.helidon.webserver.http.ServerResponse;
import io.helidon.webserver.http1.Http1Config;
import io.helidon.webserver.http1.Http1ConnectionListener;
import io.helidon.webserver.http1.Http1ConnectionSelector;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.ToIntBiFunction;
import org.jspecify.annotations.Nullable;

/// The OpenAI-compatible server. Listens from the start, answers 503 until a model is
/// [ready][#ready], and refuses new work once it [drains][#drain()].
///
/// Every request is carried by the virtual thread of its connection, which may block: on the body,
/// on the engine's tokens, on a slow client. None of them touches a kernel.
public final class ApiServer implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger(ApiServer.class.getName());
  private static final String MANAGEMENT = "management";
  private static final Duration GRACE = Duration.ofMillis(500);
  private static final HeaderName X_API_KEY = HeaderNames.create("x-api-key");
  private static final int MAX_HEADER_BYTES = 16 * 1024;
  private static final Duration BODY_PATIENCE = Duration.ofSeconds(5);

  private final HttpSettings settings;
  private final ServerMetrics metrics;
  private final String version;
  private final ApiKeys keys;
  private final Cors cors;
  private final Semaphore requests;
  private final BodyMemory bodies;
  private final Routes routes = new Routes();
  private final Routes managementRoutes = new Routes();
  private final Set<ClientConnection> connections = ConcurrentHashMap.newKeySet();
  private final ScheduledExecutorService watchdog;
  private final WebServer server;
  private volatile @Nullable ServedModel model;
  private volatile boolean draining;

  private ApiServer(HttpSettings settings, ServerMetrics metrics, String version) {
    this.settings = settings;
    this.metrics = metrics;
    this.version = version;
    this.keys = new ApiKeys(settings.apiKeys());
    this.cors = new Cors(settings.corsOrigins());
    this.requests = new Semaphore(settings.maxRequests());
    this.bodies =
        new BodyMemory(
            Runtime.getRuntime().maxMemory(), settings.limits().bodyBytes(), BODY_PATIENCE);
    this.watchdog =
        Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("connection-watchdog").factory());
    addRoutes();
    this.server = build();
  }

  /// Starts to listen.
  ///
  /// @throws java.io.UncheckedIOException if a port is taken or the address is not this machine's
  public static ApiServer start(HttpSettings settings, ServerMetrics metrics, String version) {
    requireFree(settings.host(), settings.port(), "server.port");
    requireFree(settings.host(), settings.managementPort(), "server.management-port");
    ApiServer api = new ApiServer(settings, metrics, version);
    boolean started = false;
    try {
      api.server.start();
      started = api.server.isRunning();
    } finally {
      if (!started) {
        api.watchdog.shutdownNow();
      }
    }
    if (!started) {
      throw new IllegalStateException("the listener did not start; the log says why");
    }
    long millis = Math.max(10, settings.write().toMillis() / 10);
    api.watchdog.scheduleWithFixedDelay(
        () -> api.connections.forEach(c -> c.cutSlowReader(settings.write())),
        millis,
        millis,
        TimeUnit.MILLISECONDS);
    return api;
  }

  /// Binds once before Helidon does, which would only log why it could not.
  private static void requireFree(String host, int port, String key) {
    if (port <= 0) {
      return;
    }
    try (var probe = new ServerSocket()) {
      probe.bind(new InetSocketAddress(host, port));
    } catch (IOException e) {
      throw new UncheckedIOException(
          "cannot listen on %s:%d: %s (%s)".formatted(host, port, e.getMessage(), key), e);
    }
  }

  public int port() {
    return server.port();
  }

  /// The port of `/metrics`, the main one where there is no other.
  public int managementPort() {
    return settings.managementPort() < 0 ? port() : server.port(MANAGEMENT);
  }

  /// From now on requests are answered.
  public void ready(ServedModel loaded) {
    model = loaded;
    metrics.bind(loaded.name(), loaded.blockTokens(), loaded.engine());
  }

  /// From now on new work is refused with 503; what runs goes on.
  public void drain() {
    draining = true;
  }

  /// Waits until every request has been answered.
  ///
  /// @return whether that happened in time
  public boolean awaitAnswers(Duration limit) throws InterruptedException {
    int all = settings.maxRequests();
    boolean done = requests.tryAcquire(all, limit.toNanos(), TimeUnit.NANOSECONDS);
    if (done) {
      requests.release(all);
    }
    return done;
  }

  /// Stops listening and cuts every connection.
  @Override
  public void close() {
    draining = true;
    watchdog.shutdownNow();
    server.stop();
  }

  Routes routes() {
    return routes;
  }

  private void addRoutes() {
    var responder = new Responder(settings.keepAlive(), settings.request());
    var completions = new CompletionsEndpoint(settings.limits(), responder);
    var chat = new ChatEndpoint(settings.limits(), responder);
    var models = new ModelsEndpoint();
    var tokens = new TokenizeEndpoint();
    var cache = new CacheEndpoint();
    for (String prefix : new String[] {"/v1", ""}) {
      routes.generate(prefix + "/completions", e -> generate(e, completions::handle));
      routes.generate(prefix + "/chat/completions", e -> generate(e, chat::handle));
      String list = prefix + "/models";
      routes.get(list, e -> models.list(e, requireModel()));
      routes.getBelow(
          list + "/", e -> models.one(e, requireModel(), e.path().substring(list.length() + 1)));
    }
    routes.get("/v1/cache", e -> cache.get(e, requireModel()));
    routes.post("/tokenize", e -> tokens.tokenize(e, requireModel()));
    routes.post("/detokenize", e -> tokens.detokenize(e, requireModel()));
    routes.post("/apply-template", e -> tokens.applyTemplate(e, requireModel()));
    routes.getPublic("/health", this::health);
    routes.getPublic("/version", this::version);
    if (settings.managementPort() < 0) {
      routes.get("/metrics", this::metrics);
    } else {
      managementRoutes.getPublic("/metrics", this::metrics);
      managementRoutes.getPublic("/health", this::health);
    }
  }

  private WebServer build() {
    var builder =
        WebServer.builder()
            .shutdownHook(false)
            .update(listener -> configure(listener, settings.port(), settings.maxConnections()))
            .routing(routing -> routing.any((q, s) -> handle(routes, q, s)));
    if (settings.managementPort() >= 0) {
      builder.putSocket(
          MANAGEMENT,
          ListenerConfig.builder()
              .update(listener -> configure(listener, settings.managementPort(), 64))
              .build());
      builder.routing(
          MANAGEMENT, HttpRouting.builder().any((q, s) -> handle(managementRoutes, q, s)));
    }
    return builder.build();
  }

  private void configure(ListenerConfig.BuilderBase<?, ?> listener, int port, int maxConnections) {
    var limits =
        new ConnectionLimits(settings.idle(), settings.header(), settings.body(), settings.write());
    var http =
        Http1Config.builder()
            .maxHeadersSize(MAX_HEADER_BYTES)
            .addReceiveListener(new HeadListener())
            .build();
    listener
        .host(settings.host())
        .port(port)
        .maxPayloadSize(settings.limits().bodyBytes())
        .maxTcpConnections(maxConnections)
        .shutdownGracePeriod(GRACE)
        .connectionOptions(SocketOptions.builder().tcpNoDelay(true).build())
        .errorHandling(ErrorHandling.builder().includeEntity(true).build())
        .directHandlers(TransportErrors.handlers(settings.limits().bodyBytes()))
        .protocolsDiscoverServices(false)
        .addConnectionSelector(
            new ClientConnection.Selector(
                Http1ConnectionSelector.builder().config(http).build(),
                limits,
                connections::add,
                connections::remove));
  }

  /// Tells a connection that a request's headers are complete.
  private static final class HeadListener implements Http1ConnectionListener {
    @Override
    public void headers(ConnectionContext context, io.helidon.http.Headers headers) {
      if (context instanceof WatchedContext watched) {
        watched.client().headComplete();
      }
    }
  }

  private void handle(Routes table, ServerRequest request, ServerResponse response) {
    ClientConnection connection = ClientConnection.current();
    String id = RequestId.of(request.headers().first(Exchange.REQUEST_ID).orElse(null));
    response.header(Exchange.REQUEST_ID, id);
    String path = request.prologue().uriPath().path();
    String method = request.prologue().method().text();
    String tenant =
        keys.tenant(
            request.headers().first(HeaderNames.AUTHORIZATION).orElse(null),
            request.headers().first(X_API_KEY).orElse(null));
    var exchange =
        new Exchange(
            request, response, connection, id, tenant == null ? "" : tenant, bodies.share());
    String route = "other";
    boolean broken = false;
    if (draining || request.headers().containsToken(HeaderValues.CONNECTION_CLOSE)) {
      response.header(HeaderValues.CONNECTION_CLOSE);
      connection.closeAfterAnswer();
    }
    try {
      if (cors.apply(exchange)) {
        return;
      }
      Routes.Match match = table.find(method, path);
      boolean isPublic = match instanceof Routes.Match.Found found && found.route().isPublic();
      if (tenant == null && !isPublic) {
        throw ApiError.unauthorized().asException();
      }
      switch (match) {
        case Routes.Match.Found found -> {
          route = found.pattern();
          run(found.route(), exchange);
        }
        case Routes.Match.WrongMethod wrong ->
            throw ApiError.wrongMethod(method, shown(path), wrong.allow()).asException();
        case Routes.Match.Nothing nothing ->
            throw ApiError.noSuchRoute(shown(method), shown(path)).asException();
      }
    } catch (ApiException e) {
      exchange.sendError(e.error());
    } catch (CloseConnectionException e) {
      metrics.clientGone();
      throw e;
    } catch (RequestException e) {
      // The transport's own: too slow, too large, badly framed. What follows cannot be trusted.
      connection.closeAfterAnswer();
      broken = true;
      response.header(HeaderValues.CONNECTION_CLOSE);
      exchange.sendError(
          TransportErrors.error(e.status(), e.getMessage(), settings.limits().bodyBytes()));
    } catch (RuntimeException | StackOverflowError e) {
      LOG.log(System.Logger.Level.ERROR, "request " + id + " failed", e);
      if (exchange.isSent() || exchange.status() != 0) {
        throw new CloseConnectionException("failed in the middle of an answer", e);
      }
      exchange.sendError(ApiError.internal());
    } finally {
      exchange.forgetBody();
      metrics.request(route, exchange.status());
      if (!broken) {
        connection.requestComplete();
      }
    }
  }

  private static String shown(String text) {
    return Texts.printable(Texts.shortened(text, 200));
  }

  private void run(Routes.Route route, Exchange exchange) {
    if (!route.generates()) {
      route.handler().handle(exchange);
      return;
    }
    if (!requests.tryAcquire()) {
      throw ApiError.tooManyRequests(settings.maxRequests()).asException();
    }
    try {
      route.handler().handle(exchange);
    } finally {
      requests.release();
    }
  }

  private void generate(Exchange exchange, ToIntBiFunction<Exchange, ServedModel> endpoint) {
    ServedModel served = requireModel();
    if (draining) {
      throw ApiError.draining().asException();
    }
    metrics.unknownFields(endpoint.applyAsInt(exchange, served));
  }

  private ServedModel requireModel() {
    ServedModel served = model;
    if (served == null) {
      throw ApiError.loading().asException();
    }
    return served;
  }

  private void health(Exchange exchange) {
    ServedModel served = requireModel();
    if (draining) {
      throw ApiError.draining().asException();
    }
    if (!served.engine().isAlive()) {
      throw new ApiError(503, "unavailable_error", "The engine makes no progress").asException();
    }
    ObjectNode body = JsonNodeFactory.instance.objectNode();
    body.put("status", "ok");
    exchange.sendJson(200, body);
  }

  private void version(Exchange exchange) {
    ObjectNode body = JsonNodeFactory.instance.objectNode();
    body.put("version", version);
    exchange.sendJson(200, body);
  }

  private void metrics(Exchange exchange) {
    exchange.sendText(200, ServerMetrics.CONTENT_TYPE, metrics.scrape());
  }
}
