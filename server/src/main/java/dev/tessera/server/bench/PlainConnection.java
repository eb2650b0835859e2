package dev.tessera.server.bench;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Locale;
import javax.net.ssl.SSLSocketFactory;
import org.jspecify.annotations.Nullable;

/// One HTTP/1.1 connection, spoken by hand and by one thread. The JDK's client hands each piece of
/// an answer from thread to thread, on the very cores whose work is to be measured.
final class PlainConnection implements AutoCloseable {
  private static final Duration PATIENCE = Duration.ofMinutes(10);
  private static final int MAX_LINE = 1 << 20;

  private final Socket socket;
  private final InputStream in;
  private final String host;
  private final @Nullable String apiKey;
  private long left; // bytes of the body, or of its current chunk
  private boolean chunked;
  private boolean ended = true;

  PlainConnection(URI base, @Nullable String apiKey) throws IOException {
    boolean isSecure = "https".equals(base.getScheme());
    int port = base.getPort() >= 0 ? base.getPort() : isSecure ? 443 : 80;
    this.host = base.getHost() + ":" + port;
    this.apiKey = apiKey;
    this.socket = isSecure ? SSLSocketFactory.getDefault().createSocket() : new Socket();
    try {
      socket.connect(new InetSocketAddress(base.getHost(), port), 10_000);
      socket.setTcpNoDelay(true);
      socket.setSoTimeout((int) PATIENCE.toMillis());
      this.in = new BufferedInputStream(socket.getInputStream(), 1 << 16);
    } catch (IOException | RuntimeException e) {
      socket.close();
      throw e;
    }
  }

  /// Sends a request and reads the head of its answer; the body of the one before must be read.
  ///
  /// @param body JSON, or null for none
  /// @return the status
  int send(String method, String path, byte @Nullable [] body) throws IOException {
    if (!ended) {
      throw new IllegalStateException("the answer before has not been read");
    }
    StringBuilder head = new StringBuilder(256);
    head.append(method).append(' ').append(path).append(" HTTP/1.1\r\nHost: ").append(host);
    if (apiKey != null) {
      head.append("\r\nAuthorization: Bearer ").append(apiKey);
    }
    if (body != null) {
      head.append("\r\nContent-Type: application/json\r\nContent-Length: ").append(body.length);
    }
    byte[] start = head.append("\r\n\r\n").toString().getBytes(StandardCharsets.US_ASCII);
    byte[] all = java.util.Arrays.copyOf(start, start.length + (body == null ? 0 : body.length));
    if (body != null) {
      System.arraycopy(body, 0, all, start.length, body.length);
    }
    socket.getOutputStream().write(all);
    return readHead();
  }

  private int readHead() throws IOException {
    String[] status = rawLine().split(" ", 3);
    if (status.length < 2 || !status[0].startsWith("HTTP/1.")) {
      throw new IOException("it does not speak HTTP/1.1");
    }
    chunked = false;
    left = 0;
    for (String line = rawLine(); !line.isEmpty(); line = rawLine()) {
      String lower = line.toLowerCase(Locale.ROOT);
      if (lower.startsWith("content-length:")) {
        left = Long.parseLong(lower.substring(15).strip());
      } else if (lower.startsWith("transfer-encoding:") && lower.contains("chunked")) {
        chunked = true;
      }
    }
    ended = !chunked && left == 0;
    return Integer.parseInt(status[1]);
  }

  /// A line of the framing.
  private String rawLine() throws IOException {
    StringBuilder line = new StringBuilder(64);
    for (int b = in.read(); b != '\n'; b = in.read()) {
      if (b < 0) {
        throw new IOException("the connection was closed");
      }
      if (line.length() > MAX_LINE) {
        throw new IOException("a line without end");
      }
      line.append((char) b);
    }
    int end = line.length();
    return end > 0 && line.charAt(end - 1) == '\r' ? line.substring(0, end - 1) : line.toString();
  }

  /// The next byte of the body, -1 at its end.
  private int read() throws IOException {
    while (left == 0) {
      if (ended) {
        return -1;
      }
      if (!chunked) {
        ended = true;
        return -1;
      }
      String size = rawLine();
      if (size.isEmpty()) { // behind the chunk before
        size = rawLine();
      }
      int extension = size.indexOf(';');
      left = Long.parseLong(extension < 0 ? size : size.substring(0, extension), 16);
      if (left == 0) {
        rawLine();
        ended = true;
        return -1;
      }
    }
    left--;
    int b = in.read();
    if (b < 0) {
      throw new IOException("the connection was closed inside of an answer");
    }
    return b;
  }

  /// The next line of the body, as Latin-1, or null at its end.
  @Nullable String line() throws IOException {
    StringBuilder line = new StringBuilder(256);
    int b = read();
    if (b < 0) {
      return null;
    }
    for (; b >= 0 && b != '\n'; b = read()) {
      line.append((char) b);
    }
    return line.toString();
  }

  /// What is left of the body.
  String rest() throws IOException {
    StringBuilder text = new StringBuilder();
    for (int b = read(); b >= 0; b = read()) {
      text.append((char) b);
    }
    return text.toString();
  }

  @Override
  public void close() throws IOException {
    socket.close();
  }
}
