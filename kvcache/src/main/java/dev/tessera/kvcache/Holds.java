package dev.tessera.kvcache;

/// Counts which forms of which blocks tables hold.
final class Holds {
  private final PrefixTree tree;

  /// A form that a table has come to show.
  record Hold(BlockTable table, int index, int form) {}

  Holds(PrefixTree tree) {
    this.tree = tree;
  }

  Hold take(BlockTable table, int index, int form) {
    tree.retain(table.present(index), form);
    table.show(index, form);
    return new Hold(table, index, form);
  }

  /// Lets a form go, if it is held.
  void letGo(BlockTable table, int index, int form, long now) {
    if (table.shows(index, form)) {
      table.hide(index, form);
      tree.release(table.present(index), form, now);
    }
  }

  /// Lets every form of a block go.
  void letGo(BlockTable table, int index, long now) {
    for (int form = 0; form <= table.cooledForms(); form++) {
      letGo(table, index, form, now);
    }
  }
}
