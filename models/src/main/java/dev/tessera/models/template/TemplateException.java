package dev.tessera.models.template;

/// A chat template that cannot be compiled, or that failed while rendering.
public final class TemplateException extends Exception {
  private static final long serialVersionUID = 1;
  private final int line;
  private final boolean raised;

  /// @param line line of the template, from 1
  /// @param raised whether the template itself refused the conversation (`raise_exception`): then
  ///   the message is for the client
  public TemplateException(String message, int line, boolean raised) {
    super(message);
    this.line = line;
    this.raised = raised;
  }

  public int line() {
    return line;
  }

  public boolean raised() {
    return raised;
  }
}
