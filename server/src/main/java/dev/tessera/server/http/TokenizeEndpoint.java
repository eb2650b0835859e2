package dev.tessera.server.http;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.tessera.models.tokenizer.Tokenizer;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/// `/tokenize`, `/detokenize` and `/apply-template`, in the bodies of vLLM (`prompt`, `messages`)
/// and of llama.cpp (`content`) alike; answers carry the keys of both.
final class TokenizeEndpoint {
  /// Characters that one call may tokenise: the work is done on the caller's own thread, but it is
  /// work nobody admitted.
  static final int MAX_CHARACTERS = 2 * 1024 * 1024;

  /// Ids that one call may turn into text.
  static final int MAX_IDS = 1_000_000;

  void tokenize(Exchange exchange, ServedModel model) {
    Fields fields = new Fields(exchange.json());
    model.requireName(fields.text("model"));
    int[] tokens;
    if (fields.has("messages")) {
      String text = Conversation.read(fields).render(ChatEndpoint.template(model));
      tokens = encode(model, "messages", text, fields.flag("add_special_tokens", false), true);
    } else if (fields.has("content")) {
      tokens =
          encode(
              model,
              "content",
              required(fields, "content"),
              fields.flag("add_special", false),
              fields.flag("parse_special", true));
    } else {
      tokens =
          encode(
              model,
              "prompt",
              required(fields, "prompt"),
              fields.flag("add_special_tokens", true),
              true);
    }
    ObjectNode body = JsonNodeFactory.instance.objectNode();
    body.put("count", tokens.length);
    body.put("max_model_len", model.engine().contextTokens());
    ArrayNode list = body.putArray("tokens");
    boolean pieces = fields.flag("with_pieces", false);
    for (int token : tokens) {
      if (pieces) {
        ObjectNode entry = list.addObject();
        entry.put("id", token);
        entry.set("piece", piece(model.tokenizer(), token));
      } else {
        list.add(token);
      }
    }
    if (fields.flag("return_token_strs", false)) {
      ArrayNode texts = body.putArray("token_strs");
      for (int token : tokens) {
        texts.add(model.tokenizer().piece(token));
      }
    }
    exchange.sendJson(200, body);
  }

  void detokenize(Exchange exchange, ServedModel model) {
    Fields fields = new Fields(exchange.json());
    model.requireName(fields.text("model"));
    if (fields.list("tokens", MAX_IDS) == null) {
      throw fields.invalid("tokens", "is missing");
    }
    JsonNode list = java.util.Objects.requireNonNull(fields.get("tokens"));
    int[] tokens = Fields.tokenIds("tokens", list, model.tokenizer().vocabularySize());
    String text = model.tokenizer().decode(tokens, false);
    ObjectNode body = JsonNodeFactory.instance.objectNode();
    body.put("prompt", text);
    body.put("content", text);
    exchange.sendJson(200, body);
  }

  void applyTemplate(Exchange exchange, ServedModel model) {
    Fields fields = new Fields(exchange.json());
    model.requireName(fields.text("model"));
    ObjectNode body = JsonNodeFactory.instance.objectNode();
    body.put("prompt", Conversation.read(fields).render(ChatEndpoint.template(model)));
    exchange.sendJson(200, body);
  }

  private static String required(Fields fields, String name) {
    String text = fields.text(name);
    if (text == null) {
      throw fields.invalid(name, "is missing");
    }
    return text;
  }

  private static int[] encode(
      ServedModel model, String field, String text, boolean addSpecial, boolean parseSpecial) {
    if (text.length() > MAX_CHARACTERS) {
      throw ApiError.badRequest(
              field,
              "%s has %,d characters; at most %,d can be tokenised at once"
                  .formatted(field, text.length(), MAX_CHARACTERS))
          .asException();
    }
    return model.tokenizer().encode(text, addSpecial, parseSpecial);
  }

  /// A token's text, or its bytes where they are no text.
  private static JsonNode piece(Tokenizer tokenizer, int token) {
    byte[] bytes = tokenizer.bytes(token);
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
      return JsonNodeFactory.instance.textNode(text);
    } catch (CharacterCodingException e) {
      ArrayNode list = JsonNodeFactory.instance.arrayNode();
      for (byte b : bytes) {
        list.add(b & 0xff);
      }
      return list;
    }
  }
}
