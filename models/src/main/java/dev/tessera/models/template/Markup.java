package dev.tessera.models.template;

/// A text that `safe` or `escape` marked as markup. Its one effect, without automatic escaping:
/// what `+` adds to it is escaped. Everything else sees the plain text.
record Markup(String text) {

  static String escape(String text) {
    var out = new StringBuilder(text.length());
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '&' -> out.append("&amp;");
        case '<' -> out.append("&lt;");
        case '>' -> out.append("&gt;");
        case '\'' -> out.append("&#39;");
        case '"' -> out.append("&#34;");
        default -> out.append(c);
      }
    }
    return out.toString();
  }
}
