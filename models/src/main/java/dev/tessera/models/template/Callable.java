package dev.tessera.models.template;

/// A value that a template can call: a macro, a method, a global function.
interface Callable {
  Object call(Evaluator evaluator, Arguments arguments);
}
