package dev.tessera.models.template;

/// Python's `None`. The interpreter's values are never null: [None], [Undefined], [Boolean],
/// [Long], [java.math.BigInteger], [Double], [String], [Markup], lists, [Tuple], maps, [Lazy],
/// [View], [Namespace] and what can be called.
enum None {
  NONE
}
