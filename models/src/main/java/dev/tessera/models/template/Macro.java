package dev.tessera.models.template;

import dev.tessera.models.template.Statement.MacroDefinition;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// A macro with the scope that it was defined in. Calling it gives the text of its body.
final class Macro implements Callable {
  private final MacroDefinition definition;
  private final Scope scope;
  private final Interpreter interpreter;

  Macro(MacroDefinition definition, Scope scope, Interpreter interpreter) {
    this.definition = definition;
    this.scope = scope;
    this.interpreter = interpreter;
  }

  String name() {
    return definition.name();
  }

  @Override
  public Object call(Evaluator evaluator, Arguments arguments) {
    var inner = new Scope(scope);
    Map<String, Object> named = new LinkedHashMap<>(arguments.named());
    List<Object> positional = arguments.positional();
    List<String> parameters = definition.parameters();
    int firstDefault = parameters.size() - definition.defaults().size();
    for (int i = 0; i < parameters.size(); i++) {
      String parameter = parameters.get(i);
      Object value = i < positional.size() ? positional.get(i) : named.remove(parameter);
      if (value == null) {
        value =
            i >= firstDefault
                ? evaluator.evaluate(definition.defaults().get(i - firstDefault), inner)
                : new Undefined("the parameter '" + parameter + "'");
      }
      inner.set(parameter, value);
    }
    if (definition.usesCaller()) {
      Object caller = named.remove("caller");
      inner.set("caller", caller == null ? new Undefined("'caller'") : caller);
    }
    if (definition.usesKwargs()) {
      inner.set("kwargs", named);
    } else if (!named.isEmpty()) {
      throw new Failure(
          "the macro '" + name() + "' has no parameter '" + named.keySet().iterator().next() + "'");
    }
    boolean more = positional.size() > parameters.size();
    if (definition.usesVarargs()) {
      inner.set(
          "varargs",
          new Tuple(more ? positional.subList(parameters.size(), positional.size()) : List.of()));
    } else if (more) {
      throw new Failure(
          "the macro '" + name() + "' takes at most " + parameters.size() + " arguments");
    }
    return interpreter.captured(definition.body(), inner);
  }
}
