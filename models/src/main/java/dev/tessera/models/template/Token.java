package dev.tessera.models.template;

/// One token of a template.
///
/// @param text for [Kind#DATA] and [Kind#STRING] the characters meant, else those written
/// @param line where it starts, from 1
record Token(Kind kind, String text, int line) {
  enum Kind {
    DATA,
    BLOCK_BEGIN,
    BLOCK_END,
    VARIABLE_BEGIN,
    VARIABLE_END,
    NAME,
    STRING,
    INTEGER,
    FLOAT,
    OPERATOR,
    END
  }

  boolean isName(String name) {
    return kind == Kind.NAME && text.equals(name);
  }

  boolean isOperator(String operator) {
    return kind == Kind.OPERATOR && text.equals(operator);
  }

  /// What an error message calls it.
  String shown() {
    return switch (kind) {
      case END -> "the end of the template";
      case BLOCK_END -> "'%}'";
      case VARIABLE_END -> "'}}'";
      case DATA, BLOCK_BEGIN, VARIABLE_BEGIN -> "template text";
      case STRING -> "a string";
      case NAME, INTEGER, FLOAT, OPERATOR -> "'" + text + "'";
    };
  }
}
