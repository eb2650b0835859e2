package dev.tessera.server.http;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.tessera.server.http.Choice.Delta;
import java.io.IOException;

/// Choices of `/v1/chat/completions`.
///
/// The first chunk of a choice has the role and empty content, later ones have no role, and the
/// last one has an empty delta: OpenAI's own rules, where the peers differ.
final class ChatFormat implements ResponseFormat {
  private final GenerationOptions options;
  private final LogprobsWriter logprobs;

  ChatFormat(GenerationOptions options, LogprobsWriter logprobs) {
    this.options = options;
    this.logprobs = logprobs;
  }

  @Override
  public String objectName(boolean chunk) {
    return chunk ? "chat.completion.chunk" : "chat.completion";
  }

  @Override
  public boolean hasOpening(PromptInfo prompt) {
    return true;
  }

  @Override
  public void writeOpening(JsonGenerator json, Choice choice, PromptInfo prompt)
      throws IOException {
    String echo = prompt.echo();
    json.writeObjectFieldStart("delta");
    json.writeStringField("role", "assistant");
    json.writeStringField("content", echo == null ? "" : echo);
    json.writeEndObject();
    json.writeNullField("logprobs");
    json.writeNullField("finish_reason");
    if (options.returnTokenIds()) {
      CompletionFormat.writeIds(json, "prompt_token_ids", prompt.tokens());
    }
  }

  @Override
  public void writeDelta(JsonGenerator json, Choice choice, Delta delta) throws IOException {
    json.writeObjectFieldStart("delta");
    json.writeStringField("content", delta.text());
    json.writeEndObject();
    writeLogprobs(json, delta);
    json.writeNullField("finish_reason");
    if (options.returnTokenIds()) {
      CompletionFormat.writeIds(json, "token_ids", CompletionFormat.ids(delta.tokens()));
    }
  }

  @Override
  public void writeEnd(JsonGenerator json, Choice choice) throws IOException {
    json.writeObjectFieldStart("delta");
    json.writeEndObject();
    json.writeNullField("logprobs");
    CompletionFormat.writeFinish(json, choice);
  }

  @Override
  public void writeWhole(JsonGenerator json, Choice choice, PromptInfo prompt, Delta all)
      throws IOException {
    String echo = prompt.echo();
    json.writeObjectFieldStart("message");
    json.writeStringField("role", "assistant");
    json.writeStringField("content", echo == null ? all.text() : echo + all.text());
    json.writeNullField("refusal");
    json.writeEndObject();
    writeLogprobs(json, all);
    CompletionFormat.writeFinish(json, choice);
    if (options.returnTokenIds()) {
      CompletionFormat.writeIds(json, "prompt_token_ids", prompt.tokens());
      CompletionFormat.writeIds(json, "token_ids", CompletionFormat.ids(all.tokens()));
    }
  }

  private void writeLogprobs(JsonGenerator json, Delta delta) throws IOException {
    json.writeFieldName("logprobs");
    if (options.wantsLogprobs()) {
      logprobs.writeChat(json, delta.tokens());
    } else {
      json.writeNull();
    }
  }
}
