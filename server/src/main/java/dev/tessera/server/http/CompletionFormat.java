package dev.tessera.server.http;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.tessera.server.engine.TokenEvent.Scored;
import dev.tessera.server.http.Choice.Delta;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Choices of `/v1/completions`.
final class CompletionFormat implements ResponseFormat {
  private final GenerationOptions options;
  private final LogprobsWriter logprobs;
  private final int[] offsets; // characters written so far, per choice

  CompletionFormat(GenerationOptions options, LogprobsWriter logprobs, int choices) {
    this.options = options;
    this.logprobs = logprobs;
    this.offsets = new int[choices];
  }

  @Override
  public String objectName(boolean chunk) {
    return "text_completion";
  }

  @Override
  public boolean hasOpening(PromptInfo prompt) {
    return prompt.echo() != null || options.returnTokenIds();
  }

  @Override
  public void writeOpening(JsonGenerator json, Choice choice, PromptInfo prompt)
      throws IOException {
    String echo = prompt.echo();
    json.writeStringField("text", echo == null ? "" : echo);
    json.writeFieldName("logprobs");
    if (echo != null && options.wantsLogprobs()) {
      writeLogprobs(json, choice, first(prompt), prompt.scored());
    } else {
      json.writeNull();
    }
    writeUnfinished(json);
    if (options.returnTokenIds()) {
      writeIds(json, "prompt_token_ids", prompt.tokens());
    }
  }

  @Override
  public void writeDelta(JsonGenerator json, Choice choice, Delta delta) throws IOException {
    json.writeStringField("text", delta.text());
    json.writeFieldName("logprobs");
    if (options.wantsLogprobs() && !delta.tokens().isEmpty()) {
      writeLogprobs(json, choice, null, delta.tokens());
    } else {
      json.writeNull();
    }
    writeUnfinished(json);
    if (options.returnTokenIds()) {
      writeIds(json, "token_ids", ids(delta.tokens()));
    }
  }

  @Override
  public void writeEnd(JsonGenerator json, Choice choice) throws IOException {
    json.writeStringField("text", "");
    json.writeNullField("logprobs");
    writeFinish(json, choice);
  }

  @Override
  public void writeWhole(JsonGenerator json, Choice choice, PromptInfo prompt, Delta all)
      throws IOException {
    String echo = prompt.echo();
    json.writeStringField("text", echo == null ? all.text() : echo + all.text());
    json.writeFieldName("logprobs");
    if (!options.wantsLogprobs()) {
      json.writeNull();
    } else if (echo == null) {
      writeLogprobs(json, choice, null, all.tokens());
    } else {
      List<Scored> tokens = new ArrayList<>(prompt.scored());
      tokens.addAll(all.tokens());
      writeLogprobs(json, choice, first(prompt), tokens);
    }
    writeFinish(json, choice);
    if (options.returnTokenIds()) {
      writeIds(json, "prompt_token_ids", prompt.tokens());
      writeIds(json, "token_ids", ids(all.tokens()));
    }
  }

  private static @Nullable Integer first(PromptInfo prompt) {
    return prompt.tokens()[0];
  }

  private void writeLogprobs(
      JsonGenerator json, Choice choice, @Nullable Integer leading, List<Scored> tokens)
      throws IOException {
    offsets[choice.index()] =
        logprobs.writeCompletion(json, leading, tokens, offsets[choice.index()]);
  }

  private static void writeUnfinished(JsonGenerator json) throws IOException {
    json.writeNullField("finish_reason");
  }

  static void writeFinish(JsonGenerator json, Choice choice) throws IOException {
    json.writeStringField("finish_reason", choice.finishReason());
    json.writeFieldName("stop_reason");
    Integer token = choice.stopToken();
    if (choice.stopString() != null) {
      json.writeString(choice.stopString());
    } else if (token != null) {
      json.writeNumber(token);
    } else {
      json.writeNull();
    }
  }

  static int[] ids(List<Scored> tokens) {
    return tokens.stream().mapToInt(Scored::id).toArray();
  }

  static void writeIds(JsonGenerator json, String field, int[] ids) throws IOException {
    json.writeFieldName(field);
    json.writeArray(ids, 0, ids.length);
  }
}
