package dev.tessera.server.http;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.tessera.server.engine.FinishReason;
import dev.tessera.server.engine.Generation.Timing;
import dev.tessera.server.engine.TokenEvent;
import dev.tessera.server.http.Choice.Delta;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/// The answer to one request while the engine works on it: its choices, and the parts that whole
/// and streamed answers share.
final class Answer {
  private final ServedModel model;
  private final String modelName;
  private final String id;
  private final GenerationOptions options;
  private final ResponseFormat format;
  private final List<PromptInfo> prompts;
  private final List<Choice> choices = new ArrayList<>();
  private final GenerationRun run;
  private final long created = System.currentTimeMillis() / 1000;

  /// @param continuesText whether the answer goes on with the prompt's last word, rather than being
  ///   a text of its own
  Answer(
      ServedModel model,
      String modelName,
      String id,
      GenerationOptions options,
      ResponseFormat format,
      List<PromptInfo> prompts,
      boolean continuesText,
      GenerationRun run) {
    this.model = model;
    this.modelName = modelName;
    this.id = id;
    this.options = options;
    this.format = format;
    this.prompts = prompts;
    this.run = run;
    var stops = new StopStrings(options.stopStrings());
    for (int prompt = 0; prompt < prompts.size(); prompt++) {
      for (int sample = 0; sample < options.samples(); sample++) {
        var text =
            new TextAssembler(
                continuesText
                    ? model.tokenizer().continuation(options.skipSpecialTokens())
                    : model.tokenizer().stream(options.skipSpecialTokens()),
                stops,
                options.includeStop(),
                options.minTokens());
        choices.add(new Choice(choices.size(), prompt, sample, text));
      }
    }
  }

  GenerationRun run() {
    return run;
  }

  GenerationOptions options() {
    return options;
  }

  ResponseFormat format() {
    return format;
  }

  List<Choice> choices() {
    return choices;
  }

  PromptInfo prompt(Choice choice) {
    return prompts.get(choice.prompt());
  }

  List<PromptInfo> prompts() {
    return prompts;
  }

  /// The choice that an event belongs to.
  Choice choice(GenerationRun.Event event) {
    return choices.get(event.prompt() * options.samples() + event.event().sample());
  }

  /// Takes an event; returns what it adds to its choice.
  ///
  /// @throws ApiException if the engine gave the sample up
  Delta accept(GenerationRun.Event event) {
    Choice choice = choice(event);
    return switch (event.event()) {
      case TokenEvent.PromptToken token -> {
        prompts.get(event.prompt()).score(token.token());
        yield Delta.NONE;
      }
      case TokenEvent.Token token -> {
        boolean open = !choice.isComplete();
        Delta delta = choice.token(token.token());
        if (open && choice.isComplete()) {
          run.stop(choice.prompt(), choice.sample());
        }
        yield delta;
      }
      case TokenEvent.Finished finished -> {
        Delta rest = choice.finished(finished);
        if (choice.reason() == FinishReason.ERROR) {
          String error = choice.error();
          throw new ApiError(
                  500,
                  "server_error",
                  "The generation failed: " + (error == null ? "no reason given" : error))
              .asException();
        }
        if (choice.reason() == FinishReason.ABORT) {
          throw ApiError.draining().asException();
        }
        yield rest;
      }
    };
  }

  /// The fields before `choices`.
  void writeHead(JsonGenerator json, boolean chunk) throws IOException {
    json.writeStringField("id", id);
    json.writeStringField("object", format.objectName(chunk));
    json.writeNumberField("created", created);
    json.writeStringField("model", modelName);
    json.writeStringField("system_fingerprint", model.systemFingerprint());
  }

  int promptTokens() {
    return prompts.stream().mapToInt(prompt -> prompt.tokens().length).sum();
  }

  int completionTokens() {
    return choices.stream().mapToInt(Choice::tokenCount).sum();
  }

  /// A prompt counts once, however many samples it has.
  void writeUsage(JsonGenerator json) throws IOException {
    json.writeObjectFieldStart("usage");
    json.writeNumberField("prompt_tokens", promptTokens());
    json.writeNumberField("completion_tokens", completionTokens());
    json.writeNumberField("total_tokens", promptTokens() + completionTokens());
    json.writeObjectFieldStart("prompt_tokens_details");
    json.writeNumberField("cached_tokens", run.cachedTokens());
    json.writeEndObject();
    json.writeEndObject();
  }

  /// llama.cpp's `timings`; only where the request is one prompt, so that they mean something.
  void writeTimings(JsonGenerator json) throws IOException {
    if (prompts.size() != 1) {
      return;
    }
    Timing timing = run.generation(0).timing();
    long now = System.nanoTime();
    long first = timing.firstToken() == 0 ? now : timing.firstToken();
    double promptMillis = timing.scheduled() == 0 ? 0 : (first - timing.scheduled()) / 1e6;
    long last = timing.finished() == 0 ? now : timing.finished();
    double outputMillis = Math.max(0, last - first) / 1e6;
    int cached = run.cachedTokens();
    int computed = promptTokens() - cached;
    int output = completionTokens();
    json.writeObjectFieldStart("timings");
    json.writeNumberField("cache_n", cached);
    json.writeNumberField("prompt_n", computed);
    writeRate(json, "prompt", computed, promptMillis);
    json.writeNumberField("predicted_n", output);
    writeRate(json, "predicted", output, outputMillis);
    json.writeEndObject();
  }

  private static void writeRate(JsonGenerator json, String name, int tokens, double millis)
      throws IOException {
    json.writeNumberField(name + "_ms", rounded(millis));
    json.writeNumberField(name + "_per_token_ms", rounded(tokens == 0 ? 0 : millis / tokens));
    json.writeNumberField(name + "_per_second", rounded(millis == 0 ? 0 : tokens * 1e3 / millis));
  }

  private static double rounded(double value) {
    return Math.round(value * 1e3) / 1e3;
  }
}
