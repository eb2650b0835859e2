package dev.tessera.server.http;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;

/// `/v1/models`: one entry per served name, with both peers' ways to tell the context window.
final class ModelsEndpoint {
  void list(Exchange exchange, ServedModel model) {
    ObjectNode body = JsonNodeFactory.instance.objectNode();
    body.put("object", "list");
    ArrayNode data = body.putArray("data");
    model.names().forEach(name -> data.add(entry(model, name)));
    exchange.sendJson(200, body);
  }

  void one(Exchange exchange, ServedModel model, String name) {
    exchange.sendJson(200, entry(model, model.requireName(name)));
  }

  private static ObjectNode entry(ServedModel model, String name) {
    ObjectNode entry = JsonNodeFactory.instance.objectNode();
    entry.put("id", name);
    entry.put("object", "model");
    entry.put("created", model.created());
    entry.put("owned_by", "tessera");
    entry.put("root", model.name());
    entry.putNull("parent");
    entry.put("max_model_len", model.engine().contextTokens());
    ObjectNode meta = entry.putObject("meta");
    meta.put("n_vocab", model.tokenizer().vocabularySize());
    meta.put("n_ctx_train", model.trainedContext());
    meta.put("n_embd", model.hiddenSize());
    meta.put("n_params", model.parameters());
    meta.put("size", model.fileBytes());
    return entry;
  }
}
