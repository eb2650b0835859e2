package dev.tessera.models.template;

import java.util.List;
import org.jspecify.annotations.Nullable;

/// What a template does.
sealed interface Statement {

  record Text(String text) implements Statement {}

  record Output(Expression value, int line) implements Statement {}

  /// `conditions[i]` guards `bodies[i]`; a body more than conditions is the `else`.
  record If(List<Expression> conditions, List<List<Statement>> bodies, int line)
      implements Statement {}

  record For(
      Target target,
      Expression iterable,
      @Nullable Expression filter,
      boolean recursive,
      List<Statement> body,
      List<Statement> otherwise,
      int line)
      implements Statement {}

  record Set(Target target, Expression value, int line) implements Statement {}

  /// `{% set x %}…{% endset %}`.
  record SetBlock(Target target, List<Expression.Suffix> filters, List<Statement> body, int line)
      implements Statement {}

  record FilterBlock(List<Expression.Suffix> filters, List<Statement> body, int line)
      implements Statement {}

  record With(List<Target> targets, List<Expression> values, List<Statement> body, int line)
      implements Statement {}

  record Define(MacroDefinition macro, int line) implements Statement {}

  /// `{% call(parameters) callee(…) %}body{% endcall %}`
  record CallBlock(MacroDefinition caller, Expression.Chain callee, int line)
      implements Statement {}

  /// `{% generation %}`: marks what the model would say; the marks are for training, the text
  /// stays.
  record Generation(List<Statement> body, int line) implements Statement {}

  record Break(int line) implements Statement {}

  record Continue(int line) implements Statement {}

  /// @param defaults of the last parameters
  /// @param usesCaller whether the body names `caller`; with `varargs` and `kwargs`, what it takes
  ///   beyond its parameters
  record MacroDefinition(
      String name,
      List<String> parameters,
      List<Expression> defaults,
      List<Statement> body,
      boolean usesCaller,
      boolean usesVarargs,
      boolean usesKwargs) {}

  /// Where a value goes.
  sealed interface Target {
    record Named(String name) implements Target {}

    record Attribute(String object, String name) implements Target {}

    record Unpacked(List<Target> parts) implements Target {}
  }
}
