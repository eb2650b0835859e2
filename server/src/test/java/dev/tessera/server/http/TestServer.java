package dev.tessera.server.http;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.tessera.models.SamplingDefaults;
import dev.tessera.models.template.ChatTemplate;
import dev.tessera.models.template.TemplateException;
import dev.tessera.server.metrics.ServerMetrics;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.reflect.RecordComponent;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;
import java.util.function.UnaryOperator;

/// The real server over a [FakeEngine], on a free port.
final class TestServer implements AutoCloseable {
  static final int LOGIT_WIDTH = 260; // two rows of padding behind the vocabulary
  static final JsonMapper JSON = new JsonMapper();

  final FakeEngine engine = new FakeEngine();
  final ServerMetrics metrics = new ServerMetrics();
  final ApiServer server;
  final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

  TestServer() {
    this(settings -> settings);
  }

  TestServer(UnaryOperator<HttpSettings> change) {
    this(change, true);
  }

  TestServer(UnaryOperator<HttpSettings> change, boolean ready) {
    server = ApiServer.start(change.apply(settings()), metrics, "0.0-test");
    if (ready) {
      server.ready(model(new BracketTemplate()));
    }
  }

  /// Settings with some values replaced, by the names of their components.
  static HttpSettings with(HttpSettings settings, Map<String, Object> changes) {
    try {
      RecordComponent[] components = HttpSettings.class.getRecordComponents();
      Object[] values = new Object[components.length];
      Class<?>[] types = new Class<?>[components.length];
      for (int i = 0; i < components.length; i++) {
        types[i] = components[i].getType();
        Object old = components[i].getAccessor().invoke(settings);
        values[i] = changes.getOrDefault(components[i].getName(), old);
      }
      return HttpSettings.class.getDeclaredConstructor(types).newInstance(values);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  static HttpSettings settings() {
    return with(HttpSettings.DEFAULT, Map.of("port", 0));
  }

  ServedModel model(ChatTemplate template) {
    return new ServedModel(
        List.of("fake", "org/alias"),
        new FakeTokenizer(),
        template,
        SamplingDefaults.NONE,
        engine,
        LOGIT_WIDTH,
        64,
        ServedModel.longestToken(new FakeTokenizer()),
        64,
        4096,
        1000,
        2000,
        new byte[] {1, 2, 3, 4},
        1_700_000_000);
  }

  /// `[role]content` for each message, then `[assistant]`.
  static final class BracketTemplate implements ChatTemplate {
    @Override
    public String source() {
      return "brackets";
    }

    @Override
    public String render(Map<String, Object> variables) throws TemplateException {
      StringBuilder text = new StringBuilder();
      for (Object element : (List<?>) variables.get("messages")) {
        Map<?, ?> message = (Map<?, ?>) element;
        if ("alien".equals(message.get("role"))) {
          throw new TemplateException("Only humans may talk", 7, true);
        }
        if (!(message.get("content") instanceof String content)) {
          throw new TemplateException("content is no text", 3, false);
        }
        text.append('[').append(message.get("role")).append(']').append(content);
        text.append("<end>");
      }
      if (variables.get("tools") != null) {
        text.append("tools=").append(variables.get("tools"));
      }
      if (Boolean.TRUE.equals(variables.get("add_generation_prompt"))) {
        text.append("[assistant]");
      }
      return text.toString();
    }
  }

  String url(String path) {
    return "http://127.0.0.1:" + server.port() + path;
  }

  HttpResponse<String> get(String path, String... headers) {
    return send("GET", path, null, headers);
  }

  HttpResponse<String> post(String path, String body, String... headers) {
    return send("POST", path, body.getBytes(StandardCharsets.UTF_8), headers);
  }

  HttpResponse<String> send(String method, String path, byte[] body, String... headers) {
    var builder = HttpRequest.newBuilder(URI.create(url(path))).timeout(Duration.ofSeconds(30));
    builder.method(
        method,
        body == null
            ? HttpRequest.BodyPublishers.noBody()
            : HttpRequest.BodyPublishers.ofByteArray(body));
    if (body != null) {
      builder.header("Content-Type", "application/json");
    }
    if (headers.length > 0) {
      builder.headers(headers);
    }
    try {
      return client.send(builder.build(), HttpResponse.BodyHandlers.ofString());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  static JsonNode json(String text) {
    try {
      return JSON.readTree(text);
    } catch (IOException e) {
      throw new UncheckedIOException(text, e);
    }
  }

  static JsonNode json(HttpResponse<String> response) {
    return json(response.body());
  }

  /// The objects of an event stream; checks that it ends as it should.
  static List<JsonNode> events(String stream) {
    List<JsonNode> events = new ArrayList<>();
    String[] blocks = stream.split("\n\n");
    for (String block : blocks) {
      if (block.startsWith(":")) {
        continue;
      }
      if (!block.startsWith("data: ")) {
        throw new AssertionError("not an event: " + block);
      }
      String data = block.substring(6);
      if (!data.equals("[DONE]")) {
        events.add(json(data));
      }
    }
    if (!blocks[blocks.length - 1].equals("data: [DONE]")) {
      throw new AssertionError("the stream does not end with [DONE]: " + stream);
    }
    return events;
  }

  Socket connect() throws IOException {
    Socket socket = new Socket("127.0.0.1", server.port());
    socket.setSoTimeout(20_000);
    return socket;
  }

  static void write(Socket socket, String text) throws IOException {
    socket.getOutputStream().write(text.getBytes(StandardCharsets.UTF_8));
    socket.getOutputStream().flush();
  }

  static String postRequest(String path, String body, String... headers) {
    return "POST "
        + path
        + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
        + body.getBytes(StandardCharsets.UTF_8).length
        + "\r\n"
        + String.join("", headers)
        + "\r\n"
        + body;
  }

  /// Reads up to the end of the connection.
  static String readAll(Socket socket) throws IOException {
    return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
  }

  /// Reads one response with a Content-Length.
  static String readResponse(InputStream in) throws IOException {
    StringBuilder head = new StringBuilder();
    while (head.indexOf("\r\n\r\n") < 0) {
      int b = in.read();
      if (b < 0) {
        return head.toString();
      }
      head.append((char) b);
    }
    int length = 0;
    for (String line : head.toString().split("\r\n")) {
      if (line.toLowerCase(java.util.Locale.ROOT).startsWith("content-length:")) {
        length = Integer.parseInt(line.substring(15).strip());
      }
    }
    return head + new String(in.readNBytes(length), StandardCharsets.UTF_8);
  }

  static void await(String what, BooleanSupplier condition) {
    long deadline = System.nanoTime() + Duration.ofSeconds(20).toNanos();
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > deadline) {
        throw new AssertionError("never happened: " + what);
      }
      try {
        Thread.sleep(2);
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
    }
  }

  @Override
  public void close() {
    client.close();
    server.close();
  }
}
