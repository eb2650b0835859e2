package dev.tessera.server.http;

import dev.tessera.server.http.GenerationOptions.Truncation;
import java.util.Arrays;

/// Prompts into token ids that fit the window.
final class PromptEncoder {
  /// Normalisation may shrink a text before it is cut into tokens, though never by more.
  private static final int SHRINKAGE = 2;

  private final ServedModel model;
  private final GenerationOptions options;

  /// A prompt as a request gives it.
  sealed interface Prompt {
    record Text(String text) implements Prompt {}

    record Tokens(int[] ids) implements Prompt {}
  }

  PromptEncoder(ServedModel model, GenerationOptions options) {
    this.model = model;
    this.options = options;
  }

  /// @throws ApiException if the prompt has no tokens or more than the window
  int[] encode(Prompt prompt) {
    return switch (prompt) {
      case Prompt.Text(String text) -> encode(text);
      case Prompt.Tokens(int[] ids) -> fit(ids);
    };
  }

  /// The names of special tokens stand for them, in raw prompts too: whoever writes a raw prompt
  /// writes the template.
  int[] encode(String text) {
    requireShort(text);
    return fit(model.tokenizer().encode(text, options.addSpecialTokens(), true));
  }

  /// The text of a prompt, for `echo`.
  String text(Prompt prompt, int[] tokens) {
    boolean whole = options.truncation() == null;
    return prompt instanceof Prompt.Text(String text) && whole
        ? text
        : model.tokenizer().decode(tokens, options.skipSpecialTokens());
  }

  /// Refuses a text that could not fit even if it were made of the longest tokens, before the work
  /// of tokenising it.
  private void requireShort(String text) {
    long most = (long) model.engine().contextTokens() * model.longestToken() * SHRINKAGE;
    if (text.length() > most) {
      throw tooLong(text.length());
    }
  }

  private ApiException tooLong(int characters) {
    int context = model.engine().contextTokens();
    return ApiError.badRequest(
            "prompt",
            ("the prompt has %,d characters: that is longer than the model's context length of %d"
                    + " tokens (model.context)")
                .formatted(characters, context))
        .asException();
  }

  private int[] fit(int[] tokens) {
    if (tokens.length == 0) {
      throw ApiError.badRequest("prompt", "the prompt has no tokens").asException();
    }
    int context = model.engine().contextTokens();
    Truncation truncation = options.truncation();
    int[] kept = tokens;
    if (truncation != null) {
      int room = truncation.tokens() == -1 ? context - 1 : truncation.tokens();
      if (tokens.length > room) {
        kept =
            truncation.keepEnd()
                ? Arrays.copyOfRange(tokens, tokens.length - room, tokens.length)
                : Arrays.copyOf(tokens, room);
      }
    }
    Integer wanted = options.maxTokens();
    int output = wanted == null ? 1 : wanted;
    if ((long) kept.length + output > context) {
      throw ApiError.contextExceeded(kept.length, output, context).asException();
    }
    return kept;
  }
}
