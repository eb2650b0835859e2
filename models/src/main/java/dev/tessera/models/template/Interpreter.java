package dev.tessera.models.template;

import dev.tessera.models.template.Statement.Target;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import org.jspecify.annotations.Nullable;

/// Runs the statements of a template.
final class Interpreter {
  /// How a body ended.
  private enum Flow {
    NORMAL,
    BREAK,
    CONTINUE
  }

  private final Evaluator evaluator;
  private final Budget budget;
  private StringBuilder out = new StringBuilder();

  Interpreter(Evaluator evaluator) {
    this.evaluator = evaluator;
    this.budget = evaluator.budget;
  }

  String render(List<Statement> body, Scope scope) {
    run(body, scope);
    return out.toString();
  }

  /// The text that a body makes.
  String captured(List<Statement> body, Scope scope) {
    return capture(body, scope).text;
  }

  private record Captured(String text, Flow flow) {}

  private Captured capture(List<Statement> body, Scope scope) {
    StringBuilder outer = out;
    out = new StringBuilder();
    try {
      Flow flow = run(body, scope);
      budget.text(out.length());
      return new Captured(out.toString(), flow);
    } finally {
      out = outer;
    }
  }

  private void print(String text) {
    out.append(text);
    if (out.length() > Budget.MAX_TEXT) {
      throw new Failure(
          "the output is longer than " + Budget.MAX_TEXT + " characters", Failure.Kind.LIMIT);
    }
  }

  private Flow run(List<Statement> body, Scope scope) {
    budget.enter();
    for (Statement statement : body) {
      budget.step();
      Flow flow = run(statement, scope);
      if (flow != Flow.NORMAL) {
        budget.leave();
        return flow;
      }
    }
    budget.leave();
    return Flow.NORMAL;
  }

  private Flow run(Statement statement, Scope scope) {
    switch (statement) {
      case Statement.Text(String text) -> print(text);
      case Statement.Output(Expression value, int line) -> {
        budget.line = line;
        print(Printer.str(evaluator.evaluate(value, scope), budget));
      }
      case Statement.Set(Target target, Expression value, int line) -> {
        budget.line = line;
        assign(target, evaluator.evaluate(value, scope), scope);
      }
      case Statement.If branches -> {
        return runIf(branches, scope);
      }
      case Statement.For loop -> {
        budget.line = loop.line();
        return runLoop(loop, evaluator.evaluate(loop.iterable(), scope), scope, 0);
      }
      case Statement.Define(Statement.MacroDefinition macro, _) ->
          scope.set(macro.name(), new Macro(macro, scope, this));
      case Statement.SetBlock block -> {
        Captured captured = capture(block.body(), new Scope(scope));
        if (captured.flow != Flow.NORMAL) {
          return captured.flow;
        }
        budget.line = block.line();
        assign(block.target(), evaluator.applied(captured.text, block.filters(), scope), scope);
      }
      case Statement.FilterBlock block -> {
        Captured captured = capture(block.body(), new Scope(scope));
        if (captured.flow != Flow.NORMAL) {
          return captured.flow;
        }
        Object filtered = evaluator.applied(captured.text, block.filters(), scope);
        print(Printer.str(filtered, budget));
      }
      case Statement.With with -> {
        budget.line = with.line();
        var inner = new Scope(scope);
        for (int i = 0; i < with.targets().size(); i++) {
          assign(with.targets().get(i), evaluator.evaluate(with.values().get(i), scope), inner);
        }
        return run(with.body(), inner);
      }
      case Statement.CallBlock call -> callBlock(call, scope);
      case Statement.Generation(List<Statement> body, _) -> {
        return run(body, new Scope(scope));
      }
      case Statement.Break _ -> {
        return Flow.BREAK;
      }
      case Statement.Continue _ -> {
        return Flow.CONTINUE;
      }
    }
    return Flow.NORMAL;
  }

  private Flow runIf(Statement.If branches, Scope scope) {
    List<Expression> conditions = branches.conditions();
    budget.line = branches.line();
    for (int i = 0; i < conditions.size(); i++) {
      if (Values.isTrue(evaluator.evaluate(conditions.get(i), scope))) {
        return run(branches.bodies().get(i), scope);
      }
    }
    return branches.bodies().size() > conditions.size()
        ? run(branches.bodies().getLast(), scope)
        : Flow.NORMAL;
  }

  /// A `break` of the `else` body is one of the loop outside.
  private Flow runLoop(Statement.For loop, Object iterable, Scope scope, int depth) {
    Iterator<Object> elements = Values.iterate(iterable, budget);
    if (loop.filter() != null) {
      elements = filtered(loop, loop.filter(), elements, scope);
    }
    var state =
        new Loop(
            elements,
            depth,
            loop.recursive() ? inner -> recurse(loop, inner, scope, depth + 1) : null,
            budget);
    if (!state.hasNext()) {
      return run(loop.otherwise(), new Scope(scope));
    }
    while (state.hasNext()) {
      budget.step();
      budget.line = loop.line();
      var inner = new Scope(scope);
      inner.set("loop", state);
      assign(loop.target(), state.next(), inner);
      if (run(loop.body(), inner) == Flow.BREAK) {
        break;
      }
    }
    return Flow.NORMAL;
  }

  private Object recurse(Statement.For loop, Object iterable, Scope scope, int depth) {
    StringBuilder outer = out;
    out = new StringBuilder();
    try {
      runLoop(loop, iterable, scope, depth);
      budget.text(out.length());
      return out.toString();
    } finally {
      out = outer;
    }
  }

  private Iterator<Object> filtered(
      Statement.For loop, Expression filter, Iterator<Object> elements, Scope scope) {
    return new Iterator<>() {
      private @Nullable Object next;

      @Override
      public boolean hasNext() {
        while (next == null && elements.hasNext()) {
          budget.step();
          Object candidate = elements.next();
          var inner = new Scope(scope);
          assign(loop.target(), candidate, inner);
          if (Values.isTrue(evaluator.evaluate(filter, inner))) {
            next = candidate;
          }
        }
        return next != null;
      }

      @Override
      public Object next() {
        if (!hasNext() || next == null) {
          throw new NoSuchElementException();
        }
        Object element = next;
        next = null;
        return element;
      }
    };
  }

  private void callBlock(Statement.CallBlock call, Scope scope) {
    budget.line = call.line();
    List<Expression.Suffix> suffixes = call.callee().suffixes();
    Object callee =
        evaluator.applied(
            evaluator.evaluate(call.callee().base(), scope),
            suffixes.subList(0, suffixes.size() - 1),
            scope);
    var invoke = (Expression.Suffix.Invoke) suffixes.getLast();
    Arguments arguments = evaluator.arguments(invoke.call(), scope);
    var named = new java.util.LinkedHashMap<>(arguments.named());
    named.put("caller", new Macro(call.caller(), scope, this));
    Object value = evaluator.call(callee, new Arguments(arguments.positional(), named));
    print(Printer.str(value, budget));
  }

  private void assign(Target target, Object value, Scope scope) {
    switch (target) {
      case Target.Named(String name) -> scope.set(name, value);
      case Target.Attribute(String object, String name) -> {
        if (!(scope.get(object) instanceof Namespace namespace)) {
          throw new Failure("'" + object + "' is not a namespace; its attributes cannot be set");
        }
        namespace.attributes.put(name, value);
      }
      case Target.Unpacked(List<Target> parts) -> {
        List<Object> elements = Values.list(value, budget);
        if (elements.size() != parts.size()) {
          throw new Failure(
              "expected " + parts.size() + " values to unpack, found " + elements.size());
        }
        for (int i = 0; i < parts.size(); i++) {
          assign(parts.get(i), elements.get(i), scope);
        }
      }
    }
  }
}
