package dev.tessera.models.template;

import java.util.Iterator;

/// A generator, as most filters return: true, without a length, read once.
record Lazy(Iterator<Object> elements) {
  static Lazy of(Iterable<Object> elements) {
    return new Lazy(elements.iterator());
  }
}
