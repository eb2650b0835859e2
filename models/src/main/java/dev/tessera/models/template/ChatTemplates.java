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
/// refused here, not in the middle of a conversation. Limits: [Budget].
public final class ChatTemplates {
  /// Longest source of a template, in UTF-16 units; the longest we know has 17 thousand.
  static final int MAX_SOURCE = 1 << 20;

  private ChatTemplates() {}

  /// Compiles a template.
  ///
  /// @param bosToken text of the beginning-of-sequence token; null leaves the variable undefined
  /// @param eosToken text of the end-of-sequence token, likewise
  public static ChatTemplate compile(
      String source, @Nullable String bosToken, @Nullable String eosToken)
      throws TemplateException {
    return compile(source, bosToken, eosToken, ZonedDateTime::now);
  }

  static ChatTemplate compile(
      String source, @Nullable String bosToken, @Nullable String eosToken, Evaluator.Clock clock)
      throws TemplateException {
    var budget = new Budget();
    try {
      if (source.length() > MAX_SOURCE) {
        throw new Failure(
            "the template has " + source.length() + " characters; at most " + MAX_SOURCE);
      }
      List<Statement> body = Parser.parse(source, budget);
      return new Compiled(source, body, bosToken, eosToken, clock);
    } catch (Failure failure) {
      throw new TemplateException(
          "chat template, line " + budget.line + ": " + failure.text(), budget.line, false);
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
    public String render(Map<String, Object> variables) throws TemplateException {
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
        String where = failure.raised ? "" : "chat template, line " + budget.line + ": ";
        throw new TemplateException(where + failure.text(), budget.line, failure.raised);
      }
    }
  }
}
