package dev.tessera.server.http;

import dev.tessera.models.template.ChatTemplate;
import dev.tessera.server.engine.GenerationRequest;
import java.util.List;

/// `/v1/chat/completions`: a conversation in, the next message out.
final class ChatEndpoint {
  private final RequestLimits limits;
  private final Responder responder;

  ChatEndpoint(RequestLimits limits, Responder responder) {
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
    int older = OptionsReader.maxTokens(fields, "max_tokens", 1, -1);
    int newer = OptionsReader.maxTokens(fields, "max_completion_tokens", 1, -1);
    int wanted = newer >= 0 ? newer : older;
    boolean echo = fields.flag("echo", false);
    GenerationOptions options =
        new OptionsReader(fields, limits, model.samplingDefaults(), model.logitWidth())
            .read(wanted < 0 ? null : wanted, false, echo, topLogprobs(fields), false);
    if (wanted >= 0) { // what is left of the window is no wish, and n is limited
      limits.requireBounded(
          1, options.samples(), wanted, newer >= 0 ? "max_completion_tokens" : "max_tokens");
    }
    Conversation conversation = Conversation.read(fields);
    String prompt = conversation.render(template(model));
    int[] tokens = new PromptEncoder(model, options).encode(prompt);

    int maxTokens = wanted < 0 ? model.engine().contextTokens() - tokens.length : wanted;
    String id = options.requestId() == null ? exchange.requestId() : options.requestId();
    GenerationRequest request = Requests.engine(id, tokens, maxTokens, options, exchange);
    boolean echoes = echo && conversation.lastRole().equals("assistant");
    var info = new PromptInfo(tokens, echoes ? conversation.lastText() : null);
    var writer =
        new LogprobsWriter(
            model.tokenizer(), options.returnTokensAsIds(), options.skipSpecialTokens());
    fields.ignore(IGNORED);
    int unknown = fields.unknown();
    GenerationRun run = GenerationRun.submit(model.engine(), List.of(request));
    return new Understood(
        new Answer(
            model,
            name,
            "chatcmpl-" + id,
            options,
            new ChatFormat(options, writer),
            List.of(info),
            conversation.continues(),
            run),
        unknown);
  }

  /// Fields that OpenAI's own clients send and that have no meaning for one model on one server.
  private static final String[] IGNORED = {
    "metadata",
    "modalities",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "verbosity",
    "web_search_options"
  };

  static ChatTemplate template(ServedModel model) {
    ChatTemplate template = model.chatTemplate();
    if (template == null) {
      throw ApiError.badRequest(
              "messages",
              "the model has no chat template; start the server with --chat-template or use"
                  + " /v1/completions")
          .asException();
    }
    return template;
  }

  private int topLogprobs(Fields fields) {
    boolean wanted = fields.flag("logprobs", false);
    int alternatives = fields.limited("top_logprobs", 0, 0, limits.logprobs(), "request.logprobs");
    if (alternatives > 0 && !wanted) {
      throw fields.invalid("top_logprobs", "is only allowed with logprobs=true");
    }
    return wanted ? alternatives : -1;
  }
}
