package dev.tessera.models.template;

/// Ends a compilation or a rendering. Unchecked, so that the interpreter's inner functions need not
/// name it; the doors turn it into a [TemplateException] with the line.
final class Failure extends RuntimeException {
  private static final long serialVersionUID = 1;

  enum Kind {
    /// The template is wrong, or wrong for this conversation.
    ERROR,
    /// The template itself refused the conversation.
    RAISED,
    /// The template wants more than its [Budget].
    LIMIT
  }

  final Kind kind;

  Failure(String message) {
    this(message, Kind.ERROR);
  }

  Failure(String message, Kind kind) {
    super(message, null, false, false);
    this.kind = kind;
  }

  /// As the doors report it.
  TemplateException at(int line) {
    String where = kind == Kind.RAISED ? "" : "chat template, line " + line + ": ";
    return new TemplateException(where + text(), line, kind);
  }

  private String text() {
    String message = getMessage();
    return message == null ? "" : message;
  }
}
