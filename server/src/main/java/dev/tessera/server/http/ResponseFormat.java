package dev.tessera.server.http;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.tessera.server.http.Choice.Delta;
import java.io.IOException;

/// How an endpoint writes choices: each method writes the fields of one choice object, in which
/// `index` stands already.
interface ResponseFormat {

  /// `object` of a whole answer or of a chunk.
  String objectName(boolean chunk);

  /// Whether a choice begins with a chunk of its own, before its first token.
  boolean hasOpening(PromptInfo prompt);

  /// The choice's first chunk.
  void writeOpening(JsonGenerator json, Choice choice, PromptInfo prompt) throws IOException;

  /// A chunk with text or tokens.
  void writeDelta(JsonGenerator json, Choice choice, Delta delta) throws IOException;

  /// The choice's last chunk.
  void writeEnd(JsonGenerator json, Choice choice) throws IOException;

  /// The choice of a whole answer.
  void writeWhole(JsonGenerator json, Choice choice, PromptInfo prompt, Delta all)
      throws IOException;
}
