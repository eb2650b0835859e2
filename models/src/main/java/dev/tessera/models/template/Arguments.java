package dev.tessera.models.template;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The arguments of a call, evaluated.
record Arguments(List<Object> positional, Map<String, Object> named) {
  static final Arguments NONE = new Arguments(List.of(), Map.of());

  int size() {
    return positional.size() + named.size();
  }

  /// Refuses arguments beyond these parameters.
  Arguments check(String callee, String... parameters) {
    if (positional.size() > parameters.length) {
      throw new Failure(
          callee
              + "() takes at most "
              + parameters.length
              + " arguments, not "
              + positional.size());
    }
    for (String name : named.keySet()) {
      int index = List.of(parameters).indexOf(name);
      if (index < 0) {
        throw new Failure(callee + "() has no parameter '" + name + "'");
      }
      if (index < positional.size()) {
        throw new Failure(callee + "() got two values for '" + name + "'");
      }
    }
    return this;
  }

  @Nullable Object get(int index, String name) {
    return index < positional.size() ? positional.get(index) : named.get(name);
  }

  Object get(int index, String name, Object otherwise) {
    Object value = get(index, name);
    return value == null ? otherwise : value;
  }

  Object required(int index, String name) {
    Object value = get(index, name);
    if (value == null) {
      throw new Failure("the argument '" + name + "' is missing");
    }
    return value;
  }

  String text(int index, String name, String otherwise) {
    Object value = get(index, name);
    return value == null ? otherwise : Values.expectText(value, name);
  }

  String requiredText(int index, String name) {
    return Values.expectText(required(index, name), name);
  }

  /// An integer; `None` counts as not given.
  long integer(int index, String name, long otherwise) {
    Object value = get(index, name);
    return value == null || value == None.NONE ? otherwise : Values.expectInteger(value, name);
  }

  boolean flag(int index, String name, boolean otherwise) {
    Object value = get(index, name);
    return value == null ? otherwise : Values.isTrue(value);
  }

  /// The arguments after the first `count` positional ones.
  Arguments after(int count) {
    return new Arguments(positional.subList(count, positional.size()), named);
  }
}
