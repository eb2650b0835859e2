package dev.tessera.models.template;

import java.util.LinkedHashMap;
import java.util.Map;

/// `namespace(…)`: the one value whose attributes a template may set, also out of inner scopes.
final class Namespace {
  final Map<String, Object> attributes = new LinkedHashMap<>();
}
