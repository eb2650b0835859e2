package dev.tessera.server.http;

import io.helidon.common.buffers.DataReader;
import io.helidon.common.concurrency.limits.Limit;
import io.helidon.webserver.ConnectionContext;
import io.helidon.webserver.spi.ServerConnection;
import io.helidon.webserver.spi.ServerConnectionSelector;
import java.time.Duration;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// A connection whose client is watched: wraps Helidon's HTTP/1.1 connection, gives it bytes from a
/// [ConnectionInput] and writes through a [WatchedWriter].
final class ClientConnection implements ServerConnection {
  private static final ScopedValue<ClientConnection> CURRENT = ScopedValue.newInstance();

  private final ConnectionContext raw;
  private final ConnectionInput input;
  private final WatchedWriter writer;
  private final DataReader reader;
  private final ServerConnection http;
  private final Consumer<ClientConnection> closed;

  ClientConnection(
      ConnectionContext raw,
      ServerConnectionSelector protocol,
      ConnectionLimits limits,
      Consumer<ClientConnection> closed) {
    this.raw = raw;
    this.closed = closed;
    this.input = new ConnectionInput(raw.dataReader(), limits);
    this.writer = new WatchedWriter(raw.dataWriter());
    this.reader = DataReader.create(input);
    this.http = protocol.connection(new WatchedContext(raw, reader, writer, this));
  }

  /// The connection that the calling handler serves.
  static ClientConnection current() {
    return CURRENT.get();
  }

  @Override
  public void handle(Limit limit) throws InterruptedException {
    Thread.ofVirtual().name("connection-input").start(input::pump);
    try {
      ScopedValue.where(CURRENT, this)
          .<@Nullable Void, InterruptedException>call(
              () -> {
                http.handle(limit);
                return null;
              });
    } finally {
      input.linger();
      input.abandon();
      closed.accept(this);
    }
  }

  /// Ends the connection after the current answer, which Helidon itself does not do, whatever the
  /// answer's `Connection` header says.
  void closeAfterAnswer() {
    http.close(false);
  }

  /// Runs an action when the client leaves, at once if it already has; the latest one counts.
  void onGone(@Nullable Runnable action) {
    input.onGone(action);
  }

  boolean isGone() {
    return input.isGone();
  }

  /// The headers of a request have been read; its body has as long as the limits say.
  void headComplete() {
    input.headComplete();
  }

  /// A request has been read and answered.
  void requestComplete() {
    input.onGone(null);
    input.requestComplete(reader.available() > 0);
  }

  /// Cuts the client off if a write has waited for it longer than the limit. Any thread.
  void cutSlowReader(Duration limit) {
    if (writer.isStuck(limit)) {
      raw.serverSocket().close();
    }
  }

  @Override
  public Duration idleTime() {
    return http.idleTime();
  }

  @Override
  public void close(boolean interrupt) {
    http.close(interrupt);
  }

  /// Makes a watched connection of every connection that Helidon accepts.
  record Selector(
      ServerConnectionSelector protocol,
      ConnectionLimits limits,
      Consumer<ClientConnection> opened,
      Consumer<ClientConnection> closed)
      implements ServerConnectionSelector {

    @Override
    public int bytesToIdentifyConnection() {
      return protocol.bytesToIdentifyConnection();
    }

    @Override
    public Support supports(io.helidon.common.buffers.BufferData data) {
      return protocol.supports(data);
    }

    @Override
    public Set<String> supportedApplicationProtocols() {
      return protocol.supportedApplicationProtocols();
    }

    @Override
    public ServerConnection connection(ConnectionContext context) {
      var connection = new ClientConnection(context, protocol, limits, closed);
      opened.accept(connection);
      return connection;
    }
  }
}
