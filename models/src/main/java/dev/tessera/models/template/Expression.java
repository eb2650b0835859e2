package dev.tessera.models.template;

import java.util.List;
import org.jspecify.annotations.Nullable;

/// What a template computes. Chains (`a + b + c`, `a | f | g`, `a.b[c]()`) are lists and not nests,
/// so that the depth of the tree is the depth of the brackets.
sealed interface Expression {

  record Constant(Object value) implements Expression {}

  record Variable(String name) implements Expression {}

  record ListOf(List<Expression> elements, boolean isTuple) implements Expression {}

  record DictOf(List<Expression> keys, List<Expression> values) implements Expression {}

  /// A value and what is applied to it, from left to right.
  record Chain(Expression base, List<Suffix> suffixes) implements Expression {}

  /// `operands[0] operators[0] operands[1] …`, all operators of one precedence.
  record Arithmetic(List<Expression> operands, List<String> operators) implements Expression {}

  /// `a ~ b ~ …`
  record Joined(List<Expression> parts) implements Expression {}

  /// As in Python, `a < b < c` means `a < b and b < c`.
  record Comparison(List<Expression> operands, List<String> operators) implements Expression {}

  /// `and` or `or`; its value is that of the operand which decided.
  record Logic(boolean isAnd, List<Expression> operands) implements Expression {}

  record Not(Expression operand) implements Expression {}

  record Signed(boolean negative, Expression operand) implements Expression {}

  record Conditional(Expression condition, Expression then, @Nullable Expression otherwise)
      implements Expression {}

  /// Arguments of a call.
  record Call(
      List<Expression> positional,
      List<String> names,
      List<Expression> named,
      @Nullable Expression star,
      @Nullable Expression doubleStar) {
    static final Call EMPTY = new Call(List.of(), List.of(), List.of(), null, null);

    boolean isEmpty() {
      return positional.isEmpty() && names.isEmpty() && star == null && doubleStar == null;
    }
  }

  /// What follows a value.
  sealed interface Suffix {
    int line();

    record Attribute(String name, int line) implements Suffix {}

    record Item(Expression index, int line) implements Suffix {}

    record Slice(
        @Nullable Expression from, @Nullable Expression to, @Nullable Expression step, int line)
        implements Suffix {}

    record Invoke(Call call, int line) implements Suffix {}

    record Filtered(String name, Filter filter, Call call, int line) implements Suffix {}

    record Tested(String name, Test test, Call call, boolean negated, int line) implements Suffix {}
  }
}
