package dev.tessera.server.http;

import com.fasterxml.jackson.databind.JsonNode;
import dev.tessera.server.engine.GenerationRequest;
import dev.tessera.server.http.PromptEncoder.Prompt;
import java.util.ArrayList;
import java.util.List;

/// `/v1/completions`: text or tokens in, their continuation out.
final class CompletionsEndpoint {
  /// OpenAI's default, so that a client that forgets the limit does not get a novel.
  private static final int DEFAULT_MAX_TOKENS = 16;

  private final RequestLimits limits;
  private final Responder responder;

  CompletionsEndpoint(RequestLimits limits, Responder responder) {
    this.limits = limits;
    this.responder = responder;
  }

  /// Answers a request for a served model.
  ///
  /// @return how many of its fields mean nothing to this server
  int handle(Exchange exchange, ServedModel model) {
    Understood understood = understand(exchange, new Fields(exchange.json()), model);
    exchange.forgetBody();
    responder.respond(exchange, understood.answer());
    return understood.unknownFields();
  }

  /// In a method of its own, so that nothing holds on to a large body while it is answered.
  private Understood understand(Exchange exchange, Fields fields, ServedModel model) {
    String name = model.requireName(fields.text("model"));
    boolean echo = fields.flag("echo", false);
    int maxTokens = OptionsReader.maxTokens(fields, "max_tokens", echo ? 0 : 1, DEFAULT_MAX_TOKENS);
    int logprobs = fields.limited("logprobs", -1, 0, limits.logprobs(), "request.logprobs");
    GenerationOptions options =
        new OptionsReader(fields, limits, model.samplingDefaults(), model.logitWidth())
            .read(maxTokens, true, echo, logprobs, echo && logprobs >= 0);
    String suffix = fields.text("suffix");
    if (suffix != null && !suffix.isEmpty()) {
      throw fields.invalid("suffix", "is not supported by this model");
    }
    List<Prompt> prompts = prompts(fields, model);
    limits.requireBounded(prompts.size(), options.samples(), maxTokens, "max_tokens");

    var encoder = new PromptEncoder(model, options);
    List<PromptInfo> infos = new ArrayList<>();
    List<GenerationRequest> requests = new ArrayList<>();
    String id = options.requestId() == null ? exchange.requestId() : options.requestId();
    for (Prompt prompt : prompts) {
      int[] tokens = encoder.encode(prompt);
      infos.add(new PromptInfo(tokens, echo ? encoder.text(prompt, tokens) : null));
      requests.add(Requests.engine(id, tokens, maxTokens, options, exchange));
    }
    int unknown = fields.unknown();
    var writer =
        new LogprobsWriter(
            model.tokenizer(), options.returnTokensAsIds(), options.skipSpecialTokens());
    var format = new CompletionFormat(options, writer, prompts.size() * options.samples());
    GenerationRun run = GenerationRun.submit(model.engine(), requests);
    return new Understood(
        new Answer(model, name, "cmpl-" + id, options, format, infos, true, run), unknown);
  }

  /// Text, token ids, or a list of either.
  private List<Prompt> prompts(Fields fields, ServedModel model) {
    JsonNode value = fields.get("prompt");
    if (value == null) {
      throw fields.invalid("prompt", "is missing");
    }
    if (value.isTextual()) {
      return List.of(text(fields, value));
    }
    if (!value.isArray()) {
      throw fields.wrongType(
          "prompt", "a string, a list of strings, token ids or a list of token id lists", value);
    }
    if (value.isEmpty()) {
      throw fields.invalid("prompt", "must not be empty");
    }
    if (value.get(0).isNumber()) {
      return List.of(tokens("prompt", value, model));
    }
    if (value.size() > limits.prompts()) {
      throw fields.invalid(
          "prompt",
          "is a list of %,d prompts; at most %d are allowed (request.prompts)"
              .formatted(value.size(), limits.prompts()));
    }
    List<Prompt> prompts = new ArrayList<>();
    boolean ofText = value.get(0).isTextual();
    for (int i = 0; i < value.size(); i++) {
      JsonNode element = value.get(i);
      if (ofText && element.isTextual()) {
        prompts.add(text(fields, element));
      } else if (!ofText && element.isArray()) {
        prompts.add(tokens("prompt[" + i + "]", element, model));
      } else {
        throw fields.wrongType("prompt", "a list of strings or a list of token id lists", element);
      }
    }
    return prompts;
  }

  private static Prompt text(Fields fields, JsonNode value) {
    if (value.textValue().isEmpty()) {
      throw fields.invalid("prompt", "must not be empty");
    }
    return new Prompt.Text(value.textValue());
  }

  private static Prompt tokens(String field, JsonNode list, ServedModel model) {
    if (list.isEmpty()) {
      throw ApiError.badRequest("prompt", field + " must not be empty").asException();
    }
    return new Prompt.Tokens(Fields.tokenIds(field, list, model.logitWidth()));
  }
}
