package dev.tessera.models.template;

import com.code_intelligence.jazzer.api.FuzzedDataProvider;
import com.code_intelligence.jazzer.junit.FuzzTest;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.List;
import java.util.Map;

/// Whatever stands in a template, compiling and rendering it ends in a text or in a
/// [TemplateException].
class TemplateFuzzTest {
  private static final ZonedDateTime NOW =
      ZonedDateTime.of(2025, 3, 9, 14, 5, 7, 0, ZoneOffset.UTC);

  /// Pieces of templates, so that much of what is put together parses.
  private static final List<String> PIECES =
      List.of(
          "{{ ",
          " }}",
          "{% ",
          " %}",
          "{%- ",
          " -%}",
          "if ",
          "else",
          "elif ",
          "endif",
          "for x in ",
          "endfor",
          "set x = ",
          "set n.x = ",
          "endset",
          "macro f(a, b=1)",
          "endmacro",
          "call f()",
          "endcall",
          "filter upper",
          "endfilter",
          "raw",
          "endraw",
          "generation",
          "endgeneration",
          "break",
          "continue",
          "messages",
          "x",
          "n",
          "loop.",
          "namespace(x=1)",
          "range(5)",
          "f(x)",
          "'a'",
          "\"é😀\"",
          "1",
          "-1",
          "2.5",
          "1e300",
          "9223372036854775807",
          "none",
          "true",
          "[",
          "]",
          "(",
          ")",
          "{",
          "}",
          ":",
          ",",
          ".",
          " | ",
          " is ",
          " not ",
          " in ",
          " and ",
          " or ",
          " ~ ",
          " + ",
          " - ",
          " * ",
          " / ",
          " // ",
          " % ",
          " ** ",
          " == ",
          " < ",
          " if ",
          " else ",
          "length",
          "tojson",
          "tojson(indent=2)",
          "join(',')",
          "map('upper')",
          "select('odd')",
          "selectattr('role', 'equalto', 'user')",
          "sort",
          "dictsort",
          "list",
          "items",
          "first",
          "last",
          "trim",
          "replace('a', 'b')",
          "int",
          "float",
          "round(1)",
          "string",
          "safe",
          "indent",
          "reverse",
          "unique",
          "batch(2)",
          "slice(3)",
          "groupby('role')",
          "sum",
          "min",
          "max",
          "default('d')",
          "format(1)",
          "truncate(3)",
          "center(9)",
          "title",
          "role",
          "content",
          "split(' ')",
          "strip()",
          "format(1, x=2)",
          "'{:>5}{x}'",
          "'%s %5.2f'",
          "startswith('a')",
          "find('a')",
          "get('a')",
          "items()",
          "zfill(5)",
          "[1:]",
          "[::-1]",
          "[0]",
          "defined",
          "string",
          "divisibleby 3",
          "sameas x",
          "\n",
          "  ",
          "{# ",
          " #}");

  @FuzzTest
  void endsInATextOrAnError(FuzzedDataProvider data) {
    var source = new StringBuilder();
    while (data.remainingBytes() > 0 && source.length() < 4_000) {
      int choice = data.consumeInt(0, PIECES.size() + 8);
      source.append(
          choice < PIECES.size() ? PIECES.get(choice) : data.consumeString(choice - PIECES.size()));
    }
    try {
      ChatTemplates.compile(source.toString(), "<s>", null, () -> NOW)
          .render(
              Map.of(
                  "messages",
                  List.of(
                      Map.of("role", "user", "content", "añ😀 b"),
                      Map.of("role", "assistant", "content", List.of(1L, 2.5, true)))));
    } catch (TemplateException e) {
      // One of the two ends.
    }
  }
}
