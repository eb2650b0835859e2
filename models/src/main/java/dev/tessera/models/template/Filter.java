package dev.tessera.models.template;

/// `value | filter(arguments)`
interface Filter {
  Object apply(Evaluator evaluator, Object value, Arguments arguments);
}
