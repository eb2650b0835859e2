package dev.tessera.models.template;

import dev.tessera.models.template.Token.Kind;
import java.util.List;

/// Reads tokens one after the other and keeps the budget's line at the one that comes next.
final class TokenCursor {
  private final List<Token> tokens;
  private final Budget budget;
  private int at;

  TokenCursor(List<Token> tokens, Budget budget) {
    this.tokens = tokens;
    this.budget = budget;
  }

  Token peek() {
    return peek(0);
  }

  Token peek(int ahead) {
    return tokens.get(Math.min(at + ahead, tokens.size() - 1));
  }

  Token next() {
    Token token = peek();
    budget.line = token.line();
    if (at < tokens.size() - 1) {
      at++;
    }
    return token;
  }

  boolean skipOperator(String operator) {
    boolean is = peek().isOperator(operator);
    if (is) {
      next();
    }
    return is;
  }

  boolean skipName(String name) {
    boolean is = peek().isName(name);
    if (is) {
      next();
    }
    return is;
  }

  void expectOperator(String operator) {
    if (!skipOperator(operator)) {
      throw expected("'" + operator + "'");
    }
  }

  Token expectName() {
    if (peek().kind() != Kind.NAME) {
      throw expected("a name");
    }
    return next();
  }

  void expect(Kind kind) {
    if (peek().kind() != kind) {
      throw expected(new Token(kind, "", 0).shown());
    }
    next();
  }

  Failure expected(String what) {
    budget.line = peek().line();
    return new Failure("expected " + what + ", found " + peek().shown());
  }
}
