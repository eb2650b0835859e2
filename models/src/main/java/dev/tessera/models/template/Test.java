package dev.tessera.models.template;

/// `value is test(arguments)`
interface Test {
  boolean holds(Evaluator evaluator, Object value, Arguments arguments);
}
