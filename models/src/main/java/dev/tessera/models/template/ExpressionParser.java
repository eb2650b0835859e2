package dev.tessera.models.template;

import dev.tessera.models.template.Expression.Call;
import dev.tessera.models.template.Expression.Suffix;
import dev.tessera.models.template.Token.Kind;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Parses expressions by recursive descent, in Jinja's order of precedence: inline `if`, `or`,
/// `and`, `not`, comparisons, `+ -`, `~`, `* / // %`, `**`, signs, and what follows a value.
class ExpressionParser {
  private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");

  final TokenCursor tokens;
  private final Budget budget;

  /// Names read inside each open macro: `caller`, `varargs` and `kwargs` are only given where used.
  final Deque<Set<String>> macroNames = new ArrayDeque<>();

  private int depth;

  ExpressionParser(TokenCursor tokens, Budget budget) {
    this.tokens = tokens;
    this.budget = budget;
  }

  final void enter() {
    if (++depth > Budget.MAX_PARSE_DEPTH) {
      throw new Failure("the template nests deeper than " + Budget.MAX_PARSE_DEPTH);
    }
  }

  final void leave() {
    depth--;
  }

  /// An expression, which is a tuple where a comma follows.
  final Expression parseTuple(boolean withConditional) {
    Expression first = withConditional ? parseExpression() : parseOr();
    if (!tokens.peek().isOperator(",")) {
      return first;
    }
    List<Expression> elements = new ArrayList<>(List.of(first));
    while (tokens.skipOperator(",")) {
      if (endsTuple()) {
        break;
      }
      elements.add(withConditional ? parseExpression() : parseOr());
    }
    return new Expression.ListOf(elements, true);
  }

  private boolean endsTuple() {
    Token next = tokens.peek();
    return switch (next.kind()) {
      case BLOCK_END, VARIABLE_END -> true;
      case OPERATOR -> next.text().equals(")");
      case NAME -> next.text().equals("recursive");
      default -> false;
    };
  }

  final Expression parseExpression() {
    enter();
    Expression value = parseOr();
    while (tokens.skipName("if")) {
      Expression condition = parseOr();
      Expression otherwise = tokens.skipName("else") ? parseExpression() : null;
      value = new Expression.Conditional(condition, value, otherwise);
    }
    leave();
    return value;
  }

  final Expression parseOr() {
    return parseLogic(false);
  }

  private Expression parseLogic(boolean isAnd) {
    Expression first = isAnd ? parseNot() : parseLogic(true);
    String word = isAnd ? "and" : "or";
    if (!tokens.peek().isName(word)) {
      return first;
    }
    List<Expression> operands = new ArrayList<>(List.of(first));
    while (tokens.skipName(word)) {
      operands.add(isAnd ? parseNot() : parseLogic(true));
    }
    return new Expression.Logic(isAnd, operands);
  }

  private Expression parseNot() {
    if (!tokens.skipName("not")) {
      return parseComparison();
    }
    enter();
    Expression operand = parseNot();
    leave();
    return new Expression.Not(operand);
  }

  private Expression parseComparison() {
    Expression first = parseSum();
    List<Expression> operands = new ArrayList<>(List.of(first));
    List<String> operators = new ArrayList<>();
    while (true) {
      Token next = tokens.peek();
      if (next.kind() == Kind.OPERATOR && COMPARISONS.contains(next.text())) {
        operators.add(tokens.next().text());
      } else if (tokens.skipName("in")) {
        operators.add("in");
      } else if (next.isName("not") && tokens.peek(1).isName("in")) {
        tokens.next();
        tokens.next();
        operators.add("not in");
      } else {
        return operators.isEmpty() ? first : new Expression.Comparison(operands, operators);
      }
      operands.add(parseSum());
    }
  }

  private Expression parseSum() {
    Expression first = parseJoined();
    if (!isOneOf("+", "-")) {
      return first;
    }
    List<Expression> operands = new ArrayList<>(List.of(first));
    List<String> operators = new ArrayList<>();
    while (isOneOf("+", "-")) {
      operators.add(tokens.next().text());
      operands.add(parseJoined());
    }
    return new Expression.Arithmetic(operands, operators);
  }

  private Expression parseJoined() {
    Expression first = parseProduct();
    if (!tokens.peek().isOperator("~")) {
      return first;
    }
    List<Expression> parts = new ArrayList<>(List.of(first));
    while (tokens.skipOperator("~")) {
      parts.add(parseProduct());
    }
    return new Expression.Joined(parts);
  }

  private Expression parseProduct() {
    Expression first = parsePower();
    if (!isOneOf("*", "/", "//", "%")) {
      return first;
    }
    List<Expression> operands = new ArrayList<>(List.of(first));
    List<String> operators = new ArrayList<>();
    while (isOneOf("*", "/", "//", "%")) {
      operators.add(tokens.next().text());
      operands.add(parsePower());
    }
    return new Expression.Arithmetic(operands, operators);
  }

  private Expression parsePower() {
    Expression first = parseUnary(true);
    if (!tokens.peek().isOperator("**")) {
      return first;
    }
    List<Expression> operands = new ArrayList<>(List.of(first));
    List<String> operators = new ArrayList<>();
    while (tokens.skipOperator("**")) {
      operators.add("**");
      operands.add(parseUnary(true));
    }
    return new Expression.Arithmetic(operands, operators);
  }

  private boolean isOneOf(String... operators) {
    Token next = tokens.peek();
    for (String operator : operators) {
      if (next.isOperator(operator)) {
        return true;
      }
    }
    return false;
  }

  private Expression parseUnary(boolean withFilters) {
    Expression value;
    if (isOneOf("-", "+")) {
      boolean negative = tokens.next().isOperator("-");
      enter();
      value = new Expression.Signed(negative, parseUnary(false));
      leave();
    } else {
      value = parsePrimary();
    }
    List<Suffix> suffixes = new ArrayList<>();
    parsePostfix(suffixes);
    if (withFilters) {
      parseFilters(suffixes);
    }
    return suffixes.isEmpty() ? value : new Expression.Chain(value, suffixes);
  }

  private Expression parsePrimary() {
    Token token = tokens.next();
    return switch (token.kind()) {
      case NAME ->
          switch (token.text()) {
            case "true", "True" -> new Expression.Constant(true);
            case "false", "False" -> new Expression.Constant(false);
            case "none", "None" -> new Expression.Constant(None.NONE);
            default -> {
              macroNames.forEach(names -> names.add(token.text()));
              yield new Expression.Variable(token.text());
            }
          };
      case STRING -> {
        var text = new StringBuilder(token.text());
        while (tokens.peek().kind() == Kind.STRING) {
          text.append(tokens.next().text());
        }
        yield new Expression.Constant(text.toString());
      }
      case INTEGER -> new Expression.Constant(Long.parseLong(token.text()));
      case FLOAT -> new Expression.Constant(Double.parseDouble(token.text()));
      case OPERATOR ->
          switch (token.text()) {
            case "(" -> parseParentheses();
            case "[" -> new Expression.ListOf(parseElements("]"), false);
            case "{" -> parseDict();
            default -> throw unexpected(token);
          };
      default -> throw unexpected(token);
    };
  }

  final Failure unexpected(Token token) {
    budget.line = token.line();
    return new Failure("unexpected " + token.shown());
  }

  private Expression parseParentheses() {
    if (tokens.skipOperator(")")) {
      return new Expression.ListOf(List.of(), true);
    }
    Expression value = parseTuple(true);
    tokens.expectOperator(")");
    return value;
  }

  private List<Expression> parseElements(String close) {
    List<Expression> elements = new ArrayList<>();
    while (!tokens.skipOperator(close)) {
      if (!elements.isEmpty()) {
        tokens.expectOperator(",");
        if (tokens.skipOperator(close)) {
          break;
        }
      }
      elements.add(parseExpression());
    }
    return elements;
  }

  private Expression parseDict() {
    List<Expression> keys = new ArrayList<>();
    List<Expression> values = new ArrayList<>();
    while (!tokens.skipOperator("}")) {
      if (!keys.isEmpty()) {
        tokens.expectOperator(",");
        if (tokens.skipOperator("}")) {
          break;
        }
      }
      keys.add(parseExpression());
      tokens.expectOperator(":");
      values.add(parseExpression());
    }
    return new Expression.DictOf(keys, values);
  }

  private void parsePostfix(List<Suffix> suffixes) {
    while (true) {
      Token next = tokens.peek();
      if (next.isOperator(".")) {
        tokens.next();
        Token name = tokens.next();
        if (name.kind() == Kind.NAME) {
          suffixes.add(new Suffix.Attribute(name.text(), name.line()));
        } else if (name.kind() == Kind.INTEGER) {
          var index = new Expression.Constant(Long.parseLong(name.text()));
          suffixes.add(new Suffix.Item(index, name.line()));
        } else {
          throw unexpected(name);
        }
      } else if (next.isOperator("[")) {
        tokens.next();
        suffixes.add(parseSubscript(next.line()));
      } else if (next.isOperator("(")) {
        suffixes.add(parseInvoke(suffixes));
      } else {
        return;
      }
    }
  }

  private Suffix parseInvoke(List<Suffix> callee) {
    int line = tokens.peek().line();
    if (!callee.isEmpty() && callee.getLast() instanceof Suffix.Attribute method) {
      Methods.refuseUnsupported(method.name());
    }
    return new Suffix.Invoke(parseCall(), line);
  }

  private void parseFilters(List<Suffix> suffixes) {
    while (true) {
      Token next = tokens.peek();
      if (next.isOperator("|")) {
        tokens.next();
        suffixes.add(parseFilter());
      } else if (next.isName("is")) {
        tokens.next();
        suffixes.add(parseTest());
      } else if (next.isOperator("(")) {
        suffixes.add(parseInvoke(suffixes));
      } else {
        return;
      }
    }
  }

  /// A filter's name and arguments; the bar has been read.
  final Suffix.Filtered parseFilter() {
    Token name = tokens.expectName();
    String full = parseDotted(name);
    Filter filter = Filters.named(full);
    if (filter == null) {
      budget.line = name.line();
      throw new Failure("the filter '" + full + "' is not supported");
    }
    Call call = tokens.peek().isOperator("(") ? parseCall() : Call.EMPTY;
    checkNamedFilter(full, call, name);
    return new Suffix.Filtered(full, filter, call, name.line());
  }

  /// `map`, `select` and their like name another filter or test in a text.
  private void checkNamedFilter(String filter, Call call, Token at) {
    int position =
        switch (filter) {
          case "map", "select", "reject" -> 0;
          case "selectattr", "rejectattr" -> 1;
          default -> -1;
        };
    if (position >= 0
        && call.positional().size() > position
        && call.positional().get(position) instanceof Expression.Constant(String name)) {
      boolean known =
          filter.equals("map") ? Filters.named(name) != null : Tests.named(name) != null;
      if (!known) {
        budget.line = at.line();
        throw new Failure("'" + name + "' in the filter '" + filter + "' is not supported");
      }
    }
  }

  private Suffix.Tested parseTest() {
    boolean negated = tokens.skipName("not");
    Token name = tokens.expectName();
    String full = parseDotted(name);
    Test test = Tests.named(full);
    if (test == null) {
      budget.line = name.line();
      throw new Failure("the test '" + full + "' is not supported");
    }
    Call call = Call.EMPTY;
    Token next = tokens.peek();
    if (next.isOperator("(")) {
      call = parseCall();
    } else if (startsArgument(next)) {
      if (next.isName("is")) {
        throw new Failure("tests cannot be chained with 'is'");
      }
      enter();
      Expression argument = parsePrimary();
      List<Suffix> suffixes = new ArrayList<>();
      parsePostfix(suffixes);
      leave();
      if (!suffixes.isEmpty()) {
        argument = new Expression.Chain(argument, suffixes);
      }
      call = new Call(List.of(argument), List.of(), List.of(), null, null);
    }
    return new Suffix.Tested(full, test, call, negated, name.line());
  }

  private static boolean startsArgument(Token next) {
    return switch (next.kind()) {
      case NAME -> !(next.isName("else") || next.isName("or") || next.isName("and"));
      case STRING, INTEGER, FLOAT -> true;
      case OPERATOR -> next.isOperator("[") || next.isOperator("{");
      default -> false;
    };
  }

  private String parseDotted(Token first) {
    var name = new StringBuilder(first.text());
    while (tokens.skipOperator(".")) {
      name.append('.').append(tokens.expectName().text());
    }
    return name.toString();
  }

  private Suffix parseSubscript(int line) {
    enter();
    Expression from = null;
    if (!tokens.peek().isOperator(":")) {
      from = parseExpression();
      if (tokens.peek().isOperator(",")) {
        throw new Failure("an index of several parts is not supported");
      }
      if (tokens.skipOperator("]")) {
        leave();
        return new Suffix.Item(from, line);
      }
    }
    tokens.expectOperator(":");
    Expression to = parseBound();
    Expression step = tokens.skipOperator(":") ? parseBound() : null;
    tokens.expectOperator("]");
    leave();
    return new Suffix.Slice(from, to, step, line);
  }

  private @Nullable Expression parseBound() {
    Token next = tokens.peek();
    return next.isOperator(":") || next.isOperator("]") ? null : parseExpression();
  }

  /// `(a, b, name=c, *d, **e)`
  final Call parseCall() {
    tokens.expectOperator("(");
    List<Expression> positional = new ArrayList<>();
    List<String> names = new ArrayList<>();
    List<Expression> named = new ArrayList<>();
    Expression star = null;
    Expression doubleStar = null;
    boolean first = true;
    while (!tokens.skipOperator(")")) {
      if (!first) {
        tokens.expectOperator(",");
        if (tokens.skipOperator(")")) {
          break;
        }
      }
      first = false;
      Token next = tokens.peek();
      if (doubleStar != null || (star != null && next.isOperator("*"))) {
        throw unexpected(next);
      }
      if (tokens.skipOperator("*")) {
        star = parseExpression();
      } else if (tokens.skipOperator("**")) {
        doubleStar = parseExpression();
      } else if (next.kind() == Kind.NAME && tokens.peek(1).isOperator("=")) {
        tokens.next();
        tokens.next();
        names.add(next.text());
        named.add(parseExpression());
      } else if (!names.isEmpty() || star != null) {
        throw new Failure("a positional argument after a named one");
      } else {
        positional.add(parseExpression());
      }
    }
    return new Call(positional, names, named, star, doubleStar);
  }

  final void openMacro() {
    macroNames.push(new HashSet<>());
  }

  final Set<String> closeMacro() {
    return macroNames.pop();
  }
}
