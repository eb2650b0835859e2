package dev.tessera.models.template;

import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The variables of a block; those of the blocks around it can be read but not set.
final class Scope {
  private final @Nullable Scope parent;
  private @Nullable Map<String, Object> variables;

  Scope(@Nullable Scope parent) {
    this.parent = parent;
  }

  @Nullable Object get(String name) {
    for (Scope scope = this; scope != null; scope = scope.parent) {
      if (scope.variables != null) {
        Object value = scope.variables.get(name);
        if (value != null) {
          return value;
        }
      }
    }
    return null;
  }

  void set(String name, Object value) {
    if (variables == null) {
      variables = new HashMap<>();
    }
    variables.put(name, value);
  }
}
