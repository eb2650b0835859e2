package dev.tessera.models.template;

/// Ends a compilation or a rendering. Unchecked, so that the interpreter's inner functions need not
/// name it; the doors turn it into a [TemplateException] with the line.
final class Failure extends RuntimeException {
  private static final long serialVersionUID = 1;

  /// Whether the template itself refused the conversation.
  final boolean raised;

  Failure(String message) {
    this(message, false);
  }

  Failure(String message, boolean raised) {
    super(message, null, false, false);
    this.raised = raised;
  }

  /// The message of a failure; never null because every constructor is given one.
  String text() {
    String message = getMessage();
    return message == null ? "" : message;
  }
}
