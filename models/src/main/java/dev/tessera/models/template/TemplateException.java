package dev.tessera.models.template;

/// A chat template that cannot be compiled, or that failed while rendering.
public final class TemplateException extends Exception {
  private static final long serialVersionUID = 1;
  private final int line;
  private final Failure.Kind kind;

  /// @param line line of the template, from 1
  /// @param raised whether the template itself refused the conversation (`raise_exception`): then
  ///   the message is for the client
  public TemplateException(String message, int line, boolean raised) {
    this(message, line, raised ? Failure.Kind.RAISED : Failure.Kind.ERROR);
  }

  TemplateException(String message, int line, Failure.Kind kind) {
    super(message);
    this.line = line;
    this.kind = kind;
  }

  public int line() {
    return line;
  }

  public boolean raised() {
    return kind == Failure.Kind.RAISED;
  }

  /// Whether the template wanted more than its limits on steps, depth, text or lists allow.
  public boolean exceedsLimits() {
    return kind == Failure.Kind.LIMIT;
  }
}
