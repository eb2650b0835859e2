package dev.tessera.server.http;

import io.helidon.common.buffers.DataReader;
import io.helidon.common.buffers.DataWriter;
import io.helidon.common.socket.HelidonSocket;
import io.helidon.common.socket.PeerInfo;
import io.helidon.webserver.ConnectionContext;
import io.helidon.webserver.ListenerContext;
import io.helidon.webserver.ProxyProtocolData;
import io.helidon.webserver.Router;
import java.util.Optional;
import java.util.concurrent.ExecutorService;

/// Helidon's view of a connection with our reader and writer in the place of its own.
record WatchedContext(
    ConnectionContext raw, DataReader dataReader, DataWriter dataWriter, ClientConnection client)
    implements ConnectionContext {

  @Override
  public ListenerContext listenerContext() {
    return raw.listenerContext();
  }

  @Override
  public ExecutorService executor() {
    return raw.executor();
  }

  @Override
  public Router router() {
    return raw.router();
  }

  @Override
  public Optional<ProxyProtocolData> proxyProtocolData() {
    return raw.proxyProtocolData();
  }

  @Override
  public HelidonSocket serverSocket() {
    return raw.serverSocket();
  }

  @Override
  public PeerInfo remotePeer() {
    return raw.remotePeer();
  }

  @Override
  public PeerInfo localPeer() {
    return raw.localPeer();
  }

  @Override
  public boolean isSecure() {
    return raw.isSecure();
  }

  @Override
  public String socketId() {
    return raw.socketId();
  }

  @Override
  public String childSocketId() {
    return raw.childSocketId();
  }
}
