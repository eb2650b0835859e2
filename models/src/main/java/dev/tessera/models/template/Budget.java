package dev.tessera.models.template;

/// What one compilation or rendering may still use. A template comes with a model file that
/// somebody made, so it gets no more of the machine than a conversation needs.
///
/// Every node evaluated is a step, and so is every 64 characters or 8 list elements that an
/// operation makes: this bounds time *and* memory, because nothing is made without being paid for.
final class Budget {
  static final int MAX_STEPS = 1_000_000;
  static final int MAX_TEXT = 4 << 20;
  static final int MAX_ITEMS = 100_000;
  static final int MAX_PARSE_DEPTH = 64;

  /// Nesting of evaluations, over macro calls. Half a megabyte of stack carries it.
  static final int MAX_DEPTH = 400;

  /// Nesting of values: a list may be made to contain lists without end.
  static final int MAX_VALUE_DEPTH = 100;

  private static final int CHARS_PER_STEP = 64;
  private static final int ITEMS_PER_STEP = 8;

  /// The line in hand, for the error message.
  int line = 1;

  private long steps;
  private int depth;

  void step() {
    spend(1);
  }

  /// Pays for a text of this length.
  void text(long chars) {
    if (chars > MAX_TEXT) {
      throw limit("the template makes a text of more than " + MAX_TEXT + " characters");
    }
    spend(chars / CHARS_PER_STEP);
  }

  /// Pays for what was added to a text under construction.
  void grown(long before, long now) {
    if (now > MAX_TEXT) {
      text(now);
    }
    spend((now - before) / CHARS_PER_STEP);
  }

  /// Pays for reading a text of this length, however long it is.
  void scan(long chars) {
    spend(chars / CHARS_PER_STEP);
  }

  /// Pays for a list of this length.
  void items(long count) {
    if (count > MAX_ITEMS) {
      throw limit("the template makes a list of more than " + MAX_ITEMS + " elements");
    }
    spend(count / ITEMS_PER_STEP);
  }

  void enter() {
    if (++depth > MAX_DEPTH) {
      throw limit("the template nests or recurses deeper than " + MAX_DEPTH);
    }
  }

  void leave() {
    depth--;
  }

  private static Failure limit(String message) {
    return new Failure(message, Failure.Kind.LIMIT);
  }

  private void spend(long cost) {
    steps += cost;
    if (steps > MAX_STEPS) {
      throw limit("the template takes more than " + MAX_STEPS + " steps");
    }
  }
}
