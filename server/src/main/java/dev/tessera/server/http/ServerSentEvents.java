package dev.tessera.server.http;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/// Writes the events of one answer: `data: {…}` with a blank line after it. Nothing leaves before
/// [#flush()], so that tokens that came together travel together.
final class ServerSentEvents {
  private static final byte[] DATA = "data: ".getBytes(StandardCharsets.US_ASCII);
  private static final byte[] END = "\n\n".getBytes(StandardCharsets.US_ASCII);
  private static final byte[] DONE = "data: [DONE]\n\n".getBytes(StandardCharsets.US_ASCII);
  private static final byte[] KEEP_ALIVE = ": keep-alive\n\n".getBytes(StandardCharsets.US_ASCII);

  private final OutputStream out;
  private final ByteArrayOutputStream pending = new ByteArrayOutputStream(1024);

  ServerSentEvents(OutputStream out) {
    this.out = out;
  }

  /// Writes the fields of an event's object.
  interface Body {
    void write(JsonGenerator json) throws IOException;
  }

  void event(Body body) throws IOException {
    pending.write(DATA);
    try (JsonGenerator json = JsonBody.MAPPER.createGenerator(pending)) {
      json.writeStartObject();
      body.write(json);
      json.writeEndObject();
    }
    pending.write(END);
  }

  void event(JsonNode object) throws IOException {
    pending.write(DATA);
    pending.write(JsonBody.MAPPER.writeValueAsBytes(object));
    pending.write(END);
  }

  /// A comment: keeps proxies and clients from giving up while there is nothing to say.
  void keepAlive() throws IOException {
    pending.write(KEEP_ALIVE);
    flush();
  }

  void done() throws IOException {
    pending.write(DONE);
    flush();
  }

  void flush() throws IOException {
    if (pending.size() > 0) {
      out.write(pending.toByteArray());
      pending.reset();
      out.flush();
    }
  }
}
