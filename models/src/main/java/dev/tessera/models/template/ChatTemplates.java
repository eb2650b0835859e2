package dev.tessera.models.template;

import java.time.ZonedDateTime;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Compiles chat templates as Hugging Face's transformers does: Jinja with `trim_blocks`,
/// `lstrip_blocks` and loop controls in an immutable sandbox, `tojson` without HTML escapes,
/// `raise_exception`, `strftime_now`, and the tag `generation`.
///
/// What cannot be run (a tag, filter, test or method of Jinja that chat templates do not use) is
/// refused here, not in the middle of a conversation, and so is a template that a single short
/// message takes beyond its limits ([Budget]).
public final class ChatTemplates {
  /// Longest source of a template, in UTF-16 units; the longest we know has 17 thousand.
  static final int MAX_SOURCE = 1 << 20;

  private ChatTemplates() {}

  /// Compiles a template and examines it with small conversations.
  ///
  /// @param bosToken text of the beginning-of-sequence token; null leaves the variable undefined
  /// @param eosToken text of the end-of-sequence token, likewise
  public static ChatTemplate compile(
      String source, @Nullable String bosToken, @Nullable String eosToken)
      throws TemplateException {
    return new Examined(compile(source, bosToken, eosToken, ZonedDateTime::now));
  }

  /// Of two templates of a model the one that the conversation needs, as transformers chooses among
  /// named templates: `tool_use` where the caller gave tools.
  public static ChatTemplate choosing(ChatTemplate usual, ChatTemplate toolUse) {
    return new Choosing(usual, toolUse);
  }

  /// Compiles, and no more.
  static ChatTemplate compile(
      String source, @Nullable String bosToken, @Nullable String eosToken, Evaluator.Clock clock)
      throws TemplateException {
    var budget = new Budget();
    try {
      if (source.length() > MAX_SOURCE) {
        throw new Failure(
            "the template has " + source.length() + " characters; at most " + MAX_SOURCE,
            Failure.Kind.LIMIT);
      }
      List<Statement> body = Parser.parse(source, budget);
      return new Compiled(source, body, bosToken, eosToken, clock);
    } catch (Failure failure) {
      throw failure.at(budget.line);
    }
  }

  private record Compiled(
      String source,
      List<Statement> body,
      @Nullable String bosToken,
      @Nullable String eosToken,
      Evaluator.Clock clock)
      implements ChatTemplate {

    @Override
    public String render(Map<String, @Nullable Object> variables) throws TemplateException {
      var budget = new Budget();
      try {
        var globals = new Scope(null);
        Globals.define(globals);
        if (bosToken != null) {
          globals.set("bos_token", bosToken);
        }
        if (eosToken != null) {
          globals.set("eos_token", eosToken);
        }
        variables.forEach((name, value) -> globals.set(name, Values.imported(value, 0)));
        return new Interpreter(new Evaluator(budget, clock)).render(body, new Scope(globals));
      } catch (Failure failure) {
        throw failure.at(budget.line);
      }
    }
  }

  /// A template with what was found out about it.
  private static final class Examined implements ChatTemplate {
    private final ChatTemplate template;
    private final ChatPrompt prompt;

    Examined(ChatTemplate template) throws TemplateException {
      this.template = template;
      this.prompt = new ChatPrompt(template);
    }

    @Override
    public String source() {
      return template.source();
    }

    @Override
    public String render(Map<String, @Nullable Object> variables) throws TemplateException {
      return template.render(variables);
    }

    @Override
    public String prompt(ChatRequest conversation) throws TemplateException {
      return prompt.render(conversation);
    }
  }

  private record Choosing(ChatTemplate usual, ChatTemplate toolUse) implements ChatTemplate {
    @Override
    public String source() {
      return usual.source();
    }

    @Override
    public String render(Map<String, @Nullable Object> variables) throws TemplateException {
      return (variables.get("tools") == null ? usual : toolUse).render(variables);
    }

    @Override
    public String prompt(ChatRequest conversation) throws TemplateException {
      return (conversation.tools() == null ? usual : toolUse).prompt(conversation);
    }
  }
}
