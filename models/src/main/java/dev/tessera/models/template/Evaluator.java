package dev.tessera.models.template;

import dev.tessera.models.template.Expression.Call;
import dev.tessera.models.template.Expression.Suffix;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Computes the values of expressions.
final class Evaluator {
  final Budget budget;
  final Clock clock;

  Evaluator(Budget budget, Clock clock) {
    this.budget = budget;
    this.clock = clock;
  }

  /// What time it is, where a template asks.
  interface Clock {
    java.time.ZonedDateTime now();
  }

  Object evaluate(Expression expression, Scope scope) {
    return switch (expression) {
      case Expression.Constant(Object value) -> value;
      case Expression.Variable(String name) -> variable(name, scope);
      default -> {
        budget.step();
        budget.enter();
        Object value = compute(expression, scope);
        budget.leave();
        yield value;
      }
    };
  }

  private Object compute(Expression expression, Scope scope) {
    return switch (expression) {
      case Expression.Constant(Object value) -> value;
      case Expression.Variable(String name) -> variable(name, scope);
      case Expression.ListOf(List<Expression> elements, boolean isTuple) -> {
        List<Object> list = evaluate(elements, scope);
        yield isTuple ? new Tuple(list) : list;
      }
      case Expression.DictOf dict -> dict(dict, scope);
      case Expression.Chain(Expression base, List<Suffix> suffixes) ->
          applied(evaluate(base, scope), suffixes, scope);
      case Expression.Arithmetic(List<Expression> operands, List<String> operators) -> {
        Object value = evaluate(operands.getFirst(), scope);
        for (int i = 0; i < operators.size(); i++) {
          budget.step();
          Object operand = evaluate(operands.get(i + 1), scope);
          value = Operators.apply(value, operators.get(i), operand, budget);
        }
        yield value;
      }
      case Expression.Joined(List<Expression> parts) -> {
        var text = new StringBuilder();
        for (Expression part : parts) {
          int before = text.length();
          text.append(Printer.str(evaluate(part, scope), budget));
          budget.grown(before, text.length());
        }
        yield text.toString();
      }
      case Expression.Comparison comparison -> compare(comparison, scope);
      case Expression.Logic(boolean isAnd, List<Expression> operands) -> {
        Object value = evaluate(operands.getFirst(), scope);
        for (int i = 1; i < operands.size() && Values.isTrue(value) == isAnd; i++) {
          value = evaluate(operands.get(i), scope);
        }
        yield value;
      }
      case Expression.Not(Expression operand) -> !Values.isTrue(evaluate(operand, scope));
      case Expression.Signed(boolean negative, Expression operand) ->
          Operators.signed(negative, evaluate(operand, scope));
      case Expression.Conditional(Expression condition, Expression then, Expression otherwise) -> {
        if (Values.isTrue(evaluate(condition, scope))) {
          yield evaluate(then, scope);
        }
        yield otherwise == null
            ? new Undefined("the inline if without an else")
            : evaluate(otherwise, scope);
      }
    };
  }

  private static Object variable(String name, Scope scope) {
    Object value = scope.get(name);
    return value == null ? new Undefined("'" + name + "'") : value;
  }

  private List<Object> evaluate(List<Expression> expressions, Scope scope) {
    List<Object> values = new ArrayList<>(expressions.size());
    for (Expression expression : expressions) {
      values.add(evaluate(expression, scope));
    }
    return values;
  }

  private Object dict(Expression.DictOf dict, Scope scope) {
    Map<Object, Object> map = new LinkedHashMap<>();
    for (int i = 0; i < dict.keys().size(); i++) {
      Object key = Values.key(evaluate(dict.keys().get(i), scope));
      map.put(key, evaluate(dict.values().get(i), scope));
    }
    return map;
  }

  private boolean compare(Expression.Comparison comparison, Scope scope) {
    Object left = evaluate(comparison.operands().getFirst(), scope);
    for (int i = 0; i < comparison.operators().size(); i++) {
      budget.step();
      Object right = evaluate(comparison.operands().get(i + 1), scope);
      String operator = comparison.operators().get(i);
      boolean holds =
          switch (operator) {
            case "==" -> Values.equal(left, right, budget);
            case "!=" -> !Values.equal(left, right, budget);
            case "in" -> Values.contains(right, left, budget);
            case "not in" -> !Values.contains(right, left, budget);
            default -> Values.ordered(left, operator, right, budget);
          };
      if (!holds) {
        return false;
      }
      left = right;
    }
    return true;
  }

  /// A value with suffixes applied.
  Object applied(Object base, List<Suffix> suffixes, Scope scope) {
    Object value = base;
    for (Suffix suffix : suffixes) {
      budget.step();
      budget.line = suffix.line();
      value =
          switch (suffix) {
            case Suffix.Attribute(String name, _) -> Members.attribute(value, name);
            case Suffix.Item(Expression index, _) ->
                Members.item(Values.plain(value), Values.plain(evaluate(index, scope)), budget);
            case Suffix.Slice(Expression from, Expression to, Expression step, _) ->
                Operators.slice(
                    Values.plain(value),
                    optional(from, scope),
                    optional(to, scope),
                    optional(step, scope),
                    budget);
            case Suffix.Invoke(Call call, int line) -> {
              Arguments arguments = arguments(call, scope);
              budget.line = line;
              yield call(value, arguments);
            }
            case Suffix.Filtered(_, Filter filter, Call call, int line) -> {
              Arguments arguments = arguments(call, scope);
              budget.line = line;
              yield filter.apply(this, Values.plain(value), arguments);
            }
            case Suffix.Tested(_, Test test, Call call, boolean negated, int line) -> {
              Arguments arguments = arguments(call, scope);
              budget.line = line;
              yield test.holds(this, Values.plain(value), arguments) != negated;
            }
          };
    }
    return value;
  }

  private @Nullable Object optional(@Nullable Expression expression, Scope scope) {
    return expression == null ? null : evaluate(expression, scope);
  }

  Object call(Object callee, Arguments arguments) {
    if (callee instanceof Callable callable) {
      budget.enter();
      Object value = callable.call(this, arguments);
      budget.leave();
      return value;
    }
    throw callee instanceof Undefined undefined
        ? undefined.failure()
        : new Failure("a value of type " + Values.type(callee) + " cannot be called");
  }

  Arguments arguments(Call call, Scope scope) {
    if (call.isEmpty()) {
      return Arguments.NONE;
    }
    List<Object> positional = evaluate(call.positional(), scope);
    Map<String, Object> named = new LinkedHashMap<>();
    for (int i = 0; i < call.names().size(); i++) {
      named.put(call.names().get(i), evaluate(call.named().get(i), scope));
    }
    if (call.star() != null) {
      positional.addAll(Values.list(evaluate(call.star(), scope), budget));
    }
    if (call.doubleStar() != null) {
      if (!(evaluate(call.doubleStar(), scope) instanceof Map<?, ?> more)) {
        throw new Failure("'**' needs a dict");
      }
      budget.items(more.size());
      more.forEach((name, value) -> named.put(Values.expectText(name, "**"), value));
    }
    return new Arguments(positional, named);
  }
}
