package dev.tessera.models.template;

import dev.tessera.models.template.Expression.Suffix;
import dev.tessera.models.template.Statement.MacroDefinition;
import dev.tessera.models.template.Statement.Target;
import dev.tessera.models.template.Token.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/// Parses the statements of a template.
final class Parser extends ExpressionParser {
  private int loops;

  private Parser(TokenCursor tokens, Budget budget) {
    super(tokens, budget);
  }

  /// The statements of a template.
  static List<Statement> parse(String source, Budget budget) {
    var parser = new Parser(new TokenCursor(Lexer.tokens(source, budget), budget), budget);
    List<Statement> body = parser.parseBody(Set.of());
    if (parser.tokens.peek().kind() != Kind.END) {
      throw parser.unexpected(parser.tokens.peek(1));
    }
    return body;
  }

  /// Statements up to a tag of the names given, which is left unread, or to the end.
  private List<Statement> parseBody(Set<String> ends) {
    enter();
    List<Statement> body = new ArrayList<>();
    while (true) {
      Token token = tokens.peek();
      switch (token.kind()) {
        case DATA -> body.add(new Statement.Text(tokens.next().text()));
        case VARIABLE_BEGIN -> {
          tokens.next();
          body.add(new Statement.Output(parseTuple(true), token.line()));
          tokens.expect(Kind.VARIABLE_END);
        }
        case BLOCK_BEGIN -> {
          Token name = tokens.peek(1);
          if (name.kind() == Kind.NAME && ends.contains(name.text())) {
            leave();
            return body;
          }
          tokens.next();
          body.add(parseTag(tokens.expectName()));
          tokens.expect(Kind.BLOCK_END);
        }
        default -> {
          if (!ends.isEmpty()) {
            throw tokens.expected("the tag " + ends.stream().sorted().toList());
          }
          leave();
          return body;
        }
      }
    }
  }

  /// The body of a block tag: what stands between its `%}` and the name of the tag that ends it,
  /// which is read.
  private List<Statement> parseBlock(String end) {
    tokens.expect(Kind.BLOCK_END);
    List<Statement> body = parseBody(Set.of(end));
    tokens.next();
    tokens.next();
    return body;
  }

  private Statement parseTag(Token tag) {
    int line = tag.line();
    return switch (tag.text()) {
      case "if" -> parseIf(line);
      case "for" -> parseFor(line);
      case "set" -> parseSet(line);
      case "print" -> new Statement.Output(parseTuple(true), line);
      case "macro" -> new Statement.Define(parseMacro(), line);
      case "call" -> parseCallBlock(line);
      case "filter" -> parseFilterBlock(line);
      case "with" -> parseWith(line);
      case "generation" -> new Statement.Generation(parseBlock("endgeneration"), line);
      case "break", "continue" -> {
        if (loops == 0) {
          throw new Failure("'" + tag.text() + "' outside of a loop");
        }
        yield tag.text().equals("break") ? new Statement.Break(line) : new Statement.Continue(line);
      }
      default -> throw new Failure("the tag '" + tag.text() + "' is not supported here");
    };
  }

  private Statement parseIf(int line) {
    List<Expression> conditions = new ArrayList<>();
    List<List<Statement>> bodies = new ArrayList<>();
    conditions.add(parseTuple(false));
    while (true) {
      tokens.expect(Kind.BLOCK_END);
      bodies.add(parseBody(Set.of("elif", "else", "endif")));
      tokens.next();
      switch (tokens.next().text()) {
        case "elif" -> conditions.add(parseTuple(false));
        case "else" -> {
          bodies.add(parseBlock("endif"));
          return new Statement.If(conditions, bodies, line);
        }
        default -> {
          return new Statement.If(conditions, bodies, line);
        }
      }
    }
  }

  private Statement parseFor(int line) {
    Target target = parseTarget();
    if (!tokens.skipName("in")) {
      throw tokens.expected("'in'");
    }
    Expression iterable = parseTuple(false);
    Expression filter = tokens.skipName("if") ? parseExpression() : null;
    boolean recursive = tokens.skipName("recursive");
    tokens.expect(Kind.BLOCK_END);
    loops++;
    List<Statement> body = parseBody(Set.of("else", "endfor"));
    loops--;
    tokens.next();
    List<Statement> otherwise = List.of();
    if (tokens.next().isName("else")) {
      otherwise = parseBlock("endfor");
    }
    return new Statement.For(target, iterable, filter, recursive, body, otherwise, line);
  }

  private Statement parseSet(int line) {
    Target target = parseTarget();
    if (tokens.skipOperator("=")) {
      return new Statement.Set(target, parseTuple(true), line);
    }
    List<Suffix> filters = new ArrayList<>();
    while (tokens.skipOperator("|")) {
      filters.add(parseFilter());
    }
    return new Statement.SetBlock(target, filters, parseBlock("endset"), line);
  }

  private Statement parseFilterBlock(int line) {
    List<Suffix> filters = new ArrayList<>(List.of(parseFilter()));
    while (tokens.skipOperator("|")) {
      filters.add(parseFilter());
    }
    return new Statement.FilterBlock(filters, parseBlock("endfilter"), line);
  }

  private Statement parseWith(int line) {
    List<Target> targets = new ArrayList<>();
    List<Expression> values = new ArrayList<>();
    while (tokens.peek().kind() != Kind.BLOCK_END) {
      if (!targets.isEmpty()) {
        tokens.expectOperator(",");
      }
      targets.add(parseSingleTarget());
      tokens.expectOperator("=");
      values.add(parseExpression());
    }
    return new Statement.With(targets, values, parseBlock("endwith"), line);
  }

  private MacroDefinition parseMacro() {
    String name = tokens.expectName().text();
    List<String> parameters = new ArrayList<>();
    List<Expression> defaults = new ArrayList<>();
    parseParameters(parameters, defaults);
    return parseMacroBody(name, parameters, defaults, "endmacro");
  }

  private Statement parseCallBlock(int line) {
    List<String> parameters = new ArrayList<>();
    List<Expression> defaults = new ArrayList<>();
    if (tokens.peek().isOperator("(")) {
      parseParameters(parameters, defaults);
    }
    if (!(parseExpression() instanceof Expression.Chain callee)
        || !(callee.suffixes().getLast() instanceof Suffix.Invoke)) {
      throw new Failure("the tag 'call' needs a call");
    }
    var caller = parseMacroBody("caller", parameters, defaults, "endcall");
    return new Statement.CallBlock(caller, callee, line);
  }

  private void parseParameters(List<String> parameters, List<Expression> defaults) {
    tokens.expectOperator("(");
    while (!tokens.skipOperator(")")) {
      if (!parameters.isEmpty()) {
        tokens.expectOperator(",");
        if (tokens.skipOperator(")")) {
          return;
        }
      }
      parameters.add(parseTargetName());
      if (tokens.skipOperator("=")) {
        defaults.add(parseExpression());
      } else if (!defaults.isEmpty()) {
        throw new Failure("a parameter without a default after one with a default");
      }
    }
  }

  /// A loop outside of a macro is not there for the macro's `break`.
  private MacroDefinition parseMacroBody(
      String name, List<String> parameters, List<Expression> defaults, String end) {
    int outerLoops = loops;
    loops = 0;
    openMacro();
    List<Statement> body = parseBlock(end);
    Set<String> names = closeMacro();
    loops = outerLoops;
    return new MacroDefinition(
        name,
        parameters,
        defaults,
        body,
        names.contains("caller"),
        names.contains("varargs"),
        names.contains("kwargs"));
  }

  private Target parseTarget() {
    Target first = parseSingleTarget();
    if (!tokens.peek().isOperator(",")) {
      return first;
    }
    List<Target> parts = new ArrayList<>(List.of(first));
    while (tokens.skipOperator(",")) {
      Token next = tokens.peek();
      if (next.isName("in") || next.isOperator("=") || next.isOperator(")")) {
        break;
      }
      parts.add(parseSingleTarget());
    }
    return new Target.Unpacked(parts);
  }

  private Target parseSingleTarget() {
    if (tokens.skipOperator("(")) {
      enter();
      Target inner = parseTarget();
      leave();
      tokens.expectOperator(")");
      return inner;
    }
    String name = parseTargetName();
    return tokens.skipOperator(".")
        ? new Target.Attribute(name, tokens.expectName().text())
        : new Target.Named(name);
  }

  private String parseTargetName() {
    String name = tokens.expectName().text();
    return switch (name) {
      case "true", "false", "none", "True", "False", "None" ->
          throw new Failure("'" + name + "' cannot be assigned to");
      default -> name;
    };
  }
}
