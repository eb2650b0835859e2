package dev.tessera.models.template;

import java.util.List;

/// What `dict.keys()`, `values()` and `items()` return: it has a length but no index.
///
/// @param type `dict_keys`, …
record View(String type, List<Object> elements) {}
