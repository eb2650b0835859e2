package dev.tessera.server.http;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.tessera.models.tokenizer.Tokenizer;
import dev.tessera.server.engine.TokenEvent.Scored;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Log probabilities in the shapes of the two endpoints.
///
/// A token need not be a whole character. Chat shows it with U+FFFD and gives its bytes beside it;
/// completions, which have no place for bytes, write `bytes:\xe2\x80`.
final class LogprobsWriter {
  /// JSON has no infinity; this is what OpenAI's and vLLM's clients know for "impossible".
  private static final double SMALLEST = -9999.0;

  private final Tokenizer tokenizer;
  private final boolean asIds;
  private final boolean skipSpecial;

  LogprobsWriter(Tokenizer tokenizer, boolean asIds, boolean skipSpecial) {
    this.tokenizer = tokenizer;
    this.asIds = asIds;
    this.skipSpecial = skipSpecial;
  }

  /// `{"content": […]}` for chat.
  void writeChat(JsonGenerator json, List<Scored> tokens) throws IOException {
    json.writeStartObject();
    json.writeArrayFieldStart("content");
    for (Scored token : tokens) {
      json.writeStartObject();
      writeChatToken(json, token.id(), token.logprob());
      json.writeArrayFieldStart("top_logprobs");
      for (int i = 0; i < token.topTokens().length; i++) {
        json.writeStartObject();
        writeChatToken(json, token.topTokens()[i], token.topLogprobs()[i]);
        json.writeEndObject();
      }
      json.writeEndArray();
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeNullField("refusal");
    json.writeEndObject();
  }

  private void writeChatToken(JsonGenerator json, int token, float logprob) throws IOException {
    byte[] bytes = tokenizer.bytes(token);
    json.writeStringField(
        "token", asIds ? "token_id:" + token : new String(bytes, StandardCharsets.UTF_8));
    json.writeNumberField("logprob", finite(logprob));
    json.writeArrayFieldStart("bytes");
    for (byte b : bytes) {
      json.writeNumber(b & 0xff);
    }
    json.writeEndArray();
  }

  /// The parallel lists of completions.
  ///
  /// @param leading a token before the others that has no log probability (a prompt's first), or
  ///   null
  /// @param offset characters of the text before these tokens
  /// @return characters of the text after them
  int writeCompletion(
      JsonGenerator json, @Nullable Integer leading, List<Scored> tokens, int offset)
      throws IOException {
    json.writeStartObject();
    json.writeArrayFieldStart("tokens");
    if (leading != null) {
      json.writeString(shown(leading));
    }
    for (Scored token : tokens) {
      json.writeString(shown(token.id()));
    }
    json.writeEndArray();

    json.writeArrayFieldStart("token_logprobs");
    if (leading != null) {
      json.writeNull();
    }
    for (Scored token : tokens) {
      json.writeNumber(finite(token.logprob()));
    }
    json.writeEndArray();

    json.writeArrayFieldStart("top_logprobs");
    if (leading != null) {
      json.writeNull();
    }
    for (Scored token : tokens) {
      writeAlternatives(json, token);
    }
    json.writeEndArray();

    json.writeArrayFieldStart("text_offset");
    int position = offset;
    if (leading != null) {
      json.writeNumber(position);
      position += characters(leading);
    }
    for (Scored token : tokens) {
      json.writeNumber(position);
      position += characters(token.id());
    }
    json.writeEndArray();
    json.writeEndObject();
    return position;
  }

  /// The best tokens and the chosen one, which need not be among them.
  private void writeAlternatives(JsonGenerator json, Scored token) throws IOException {
    json.writeStartObject();
    Set<String> names = new HashSet<>();
    for (int i = 0; i < token.topTokens().length; i++) {
      String name = shown(token.topTokens()[i]);
      if (names.add(name)) {
        json.writeNumberField(name, finite(token.topLogprobs()[i]));
      }
    }
    String name = shown(token.id());
    if (names.add(name)) {
      json.writeNumberField(name, finite(token.logprob()));
    }
    json.writeEndObject();
  }

  private String shown(int token) {
    if (asIds) {
      return "token_id:" + token;
    }
    byte[] bytes = tokenizer.bytes(token);
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException e) {
      StringBuilder text = new StringBuilder("bytes:");
      for (byte b : bytes) {
        text.append("\\x").append(String.format("%02x", b & 0xff));
      }
      return text.toString();
    }
  }

  /// Characters that begin in a token: right also where a character is spread over several.
  private int characters(int token) {
    if (skipSpecial && tokenizer.isSpecial(token)) {
      return 0;
    }
    int count = 0;
    for (byte b : tokenizer.bytes(token)) {
      if ((b & 0xC0) != 0x80) {
        count++;
      }
    }
    return count;
  }

  private static double finite(float logprob) {
    return logprob >= SMALLEST ? logprob : SMALLEST;
  }
}
