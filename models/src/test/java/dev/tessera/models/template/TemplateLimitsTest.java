package dev.tessera.models.template;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// A template is somebody's program: whatever it does, it ends, within a bounded heap and stack.
class TemplateLimitsTest {

  static Stream<Arguments> bombs() {
    return Stream.of(
        Arguments.of("nested ifs", "{% if 1 %}".repeat(5_500) + "{% endif %}".repeat(5_500)),
        Arguments.of("nested parentheses", "{{ " + "(".repeat(5_500) + ")".repeat(5_500) + " }}"),
        Arguments.of("deeply nested parentheses", "{{ " + "(".repeat(100_000)),
        Arguments.of("nested lists", "{{ " + "[".repeat(5_500) + "]".repeat(5_500) + " }}"),
        Arguments.of("nested dicts", "{{ " + "{1:".repeat(5_500)),
        Arguments.of("nested signs", "{{ " + "-".repeat(5_500) + "1 }}"),
        Arguments.of("nested nots", "{{ " + "not ".repeat(5_500) + "1 }}"),
        Arguments.of("nested elses", "{{ " + "1 if 0 else ".repeat(5_500) + "1 }}"),
        Arguments.of("nested indices", "{{ " + "a[".repeat(5_500) + "]".repeat(5_500) + " }}"),
        Arguments.of("nested loops", "{% for x in y %}".repeat(5_500)),
        Arguments.of("nested targets", "{% set " + "(".repeat(5_500) + "x"),
        Arguments.of("wide range", "{{ range(1000000000) }}"),
        Arguments.of(
            "wide range from below", "{{ range(-9223372036854775807, 9223372036854775807) }}"),
        Arguments.of(
            "long loop",
            "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"),
        Arguments.of(
            "long output", "{% for a in range(100000) %}" + "x".repeat(100) + "{% endfor %}"),
        Arguments.of("repeated text", "{{ 'x' * 1000000000 }}"),
        Arguments.of("repeated text beyond 64 bits", "{{ 'xx' * 9223372036854775807 }}"),
        Arguments.of("repeated list", "{{ [1] * 1000000000 }}"),
        Arguments.of(
            "doubled text",
            "{% set n = namespace(s='xx') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{%"
                + " endfor %}"),
        Arguments.of(
            "joined text",
            "{% set n = namespace(s='xx') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{%"
                + " endfor %}"),
        Arguments.of(
            "growing text",
            "{% set n = namespace(s='') %}{% for i in range(100000) %}{% set n.s = n.s +"
                + " 'xxxxxxxxxxxxxxxx' %}{% endfor %}"),
        Arguments.of(
            "doubled list",
            "{% set n = namespace(l=[1]) %}{% for i in range(99) %}{% set n.l = n.l + n.l %}{%"
                + " endfor %}"),
        Arguments.of(
            "kept texts",
            "{% set n = namespace(l=[]) %}{% set s = 'x' * 1000000 %}{% for i in range(90000) %}{%"
                + " set n.l = n.l + [s + 'y'] %}{% endfor %}"),
        Arguments.of(
            "replaced text",
            "{% set n = namespace(s='xx') %}{% for i in range(99) %}{% set n.s = n.s | replace('x',"
                + " 'xx') %}{% endfor %}"),
        Arguments.of("padded text", "{{ 'x'.center(2000000000) }}"),
        Arguments.of("padded text beyond 64 bits", "{{ 'x'.ljust(9223372036854775807) }}"),
        Arguments.of("zero-filled text", "{{ 'x'.zfill(1000000000) }}"),
        Arguments.of("formatted width", "{{ '%2000000000d' % 1 }}"),
        Arguments.of("formatted precision", "{{ '{:.2000000000f}'.format(1.5) }}"),
        Arguments.of("indented text", "{{ ('x\\n' * 100000) | indent(1000) }}"),
        Arguments.of(
            "indented JSON",
            "{{ range(100000) | list | tojson(indent=60) | length }}{{ (range(90000) | list) |"
                + " tojson(indent='x' * 1000) }}"),
        Arguments.of(
            "printed tree",
            "{% set n = namespace(l=[1, 1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{%"
                + " endfor %}{{ n.l }}"),
        Arguments.of(
            "written tree",
            "{% set n = namespace(l=[1, 1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{%"
                + " endfor %}{{ n.l | tojson }}"),
        Arguments.of(
            "compared trees",
            "{% set n = namespace(l=[1, 1], m=[1, 1]) %}{% for i in range(60) %}{% set n.l = [n.l,"
                + " n.l] %}{% set n.m = [n.m, n.m] %}{% endfor %}{{ n.l == n.m }}"),
        Arguments.of(
            "deep value printed",
            "{% set n = namespace(l=[]) %}{% for i in range(50000) %}{% set n.l = [n.l] %}{% endfor"
                + " %}{{ n.l }}"),
        Arguments.of(
            "deep value compared",
            "{% set n = namespace(l=[], m=[]) %}{% for i in range(50000) %}{% set n.l = [n.l] %}{%"
                + " set n.m = [n.m] %}{% endfor %}{{ n.l == n.m }}"),
        Arguments.of(
            "deep key",
            "{% set n = namespace(l=()) %}{% for i in range(50000) %}{% set n.l = (n.l,) %}{%"
                + " endfor %}{{ {n.l: 1} }}"),
        Arguments.of(
            "wide key",
            "{% set n = namespace(l=(1, 1)) %}{% for i in range(60) %}{% set n.l = (n.l, n.l) %}{%"
                + " endfor %}{{ [n.l] | unique | list | length }}"),
        Arguments.of("namespace of itself", "{% set n = namespace() %}{% set n.n = n %}{{ n }}"),
        Arguments.of("recursive macro", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
        Arguments.of(
            "two recursive macros",
            "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{% if 1 %}{{ f() }}{% endif %}{%"
                + " endmacro %}{{ f() }}"),
        Arguments.of(
            "macro of itself twice",
            "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{"
                + " f(30) }}"),
        Arguments.of(
            "recursive caller",
            "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{%"
                + " endcall %}{% endmacro %}{{ g() }}"),
        Arguments.of("recursive loop", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"),
        Arguments.of("recursive default", "{% macro f(a=f()) %}{% endmacro %}{{ f() }}"),
        Arguments.of("long power", "{{ 10 ** 1000000000 }}"),
        Arguments.of(
            "sorted again and again",
            "{% for i in range(100000) %}{% set x = range(1000) | sort %}{% endfor %}"),
        Arguments.of(
            "searched again and again",
            "{% set s = 'a' * 4000000 %}{% for i in range(100000) %}{% if 'b' in s %}{% endif %}{%"
                + " endfor %}"),
        Arguments.of(
            "length again and again",
            "{% set s = 'a' * 4000000 %}{% for i in range(100000) %}{% if s | length %}{% endif"
                + " %}{% endfor %}"),
        Arguments.of(
            "characters again and again",
            "{% set s = 'ä😀' * 1000000 %}{% for i in range(100000) %}{% set x = s[1900000] %}{%"
                + " endfor %}"),
        Arguments.of(
            "slices again and again",
            "{% set s = 'ä😀' * 1000000 %}{% for i in range(100000) %}{% set x = s[1900000:1900001]"
                + " %}{% endfor %}"),
        Arguments.of(
            "cut again and again",
            "{% set s = 'a' * 4000000 %}{% for i in range(100000) %}{% set x = s.strip() %}{% set y"
                + " = s[1:] %}{% endfor %}"),
        Arguments.of(
            "last again and again",
            "{% set l = range(100000) | list %}{% for i in range(100000) %}{% set x = l | last %}{%"
                + " endfor %}"),
        Arguments.of(
            "attribute path", "{{ [1] | map(attribute='a' * 1000000 + '.b' * 1000000) | list }}"),
        Arguments.of("huge source", "x".repeat(ChatTemplates.MAX_SOURCE + 1)));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("bombs")
  void endsWithAnErrorOnASmallStack(String name, String source) throws Exception {
    var failure = new AtomicReference<Throwable>();
    var thread =
        new Thread(
            null,
            () -> {
              try {
                ChatTemplates.compile(source, null, null).render(Map.of("messages", List.of()));
              } catch (Throwable e) {
                failure.set(e);
              }
            },
            "bomb",
            512 << 10);
    thread.start();
    thread.join();
    var e =
        assertThrows(
            TemplateException.class,
            () -> {
              throw failure.get();
            });
    assertFalse(e.raised());
  }

  @Test
  void evaluatesLongChainsWithoutDepth() throws TemplateException {
    String sum = "{{ 0" + " + 1".repeat(5_000) + " }}";
    assertEquals("5000", ChatTemplates.compile(sum, null, null).render(Map.of()));
    String filters = "{{ ' x '" + " | trim".repeat(5_000) + " }}";
    assertEquals("x", ChatTemplates.compile(filters, null, null).render(Map.of()));
    String branches = "{% if 0 %}" + "{% elif 0 %}".repeat(5_000) + "{% else %}y{% endif %}";
    assertEquals("y", ChatTemplates.compile(branches, null, null).render(Map.of()));
  }

  @Test
  void rendersAConversationOfTwoThousandMessages() throws TemplateException {
    var template =
        ChatTemplates.compile(
            "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] | trim + '\n"
                + "' }}{% endfor %}",
            null, null);
    List<Map<String, String>> messages =
        IntStream.range(0, 2_000)
            .mapToObj(i -> Map.of("role", "user", "content", "w".repeat(1_000)))
            .toList();
    Map<String, Object> variables = new HashMap<>();
    variables.put("messages", messages);
    assertEquals(2_000 * 1_007, template.render(variables).length());
  }

  @Test
  void refusesAConversationThatNestsWithoutEnd() throws TemplateException {
    Object nested = List.of();
    for (int i = 0; i < 10_000; i++) {
      nested = List.of(nested);
    }
    var template = ChatTemplates.compile("{{ messages }}", null, null);
    Map<String, Object> variables = Map.of("messages", nested);
    assertThrows(TemplateException.class, () -> template.render(variables));
  }

  /// What has opened Jinja sandboxes: each of these is text, or an error, and reaches nothing.
  static Stream<String> escapes() {
    return Stream.of(
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''['__class__'] }}",
        "{{ [].__class__.__base__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ lipsum.__globals__['os'].popen('id').read() }}",
        "{{ self.__init__.__globals__ }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ range.getClass().forName('java.lang.Runtime') }}",
        "{{ ''.getClass() }}",
        "{{ messages.getClass().getName() }}",
        "{{ messages.class.forName('java.lang.Runtime').getRuntime().exec('id') }}",
        "{{ ____int3rpr3t3r____.getConfig() }}",
        "{{ raise_exception.call() }}",
        "{{ loop.evaluator }}{% for x in [1] %}{{ loop.source }}{{ loop.budget }}{% endfor %}",
        "{{ namespace().attributes }}",
        "{{ '{0.__class__.__init__.__globals__}'.format('') }}",
        "{{ '{0.__class__}'.format(messages) }}",
        "{{ '%(__class__)s' % {} }}",
        "{{ [''] | map(attribute='__class__') | list }}",
        "{{ ['x'] | map('attr', '__class__') | list }}",
        "{{ '' | attr('__class__') }}",
        "{{ ''|format.__globals__ }}",
        "{{ (1).__class__ }}",
        "{{ dict.fromkeys.__func__ }}",
        "{{ ({}).__getattribute__('items') }}",
        "{% set x = namespace(__class__=1) %}{{ x.__class__.__mro__ }}",
        "{{ config }}{{ request }}{{ os }}{{ open('/etc/passwd') }}",
        "{% import os %}",
        "{% include '/etc/passwd' %}",
        "{{ messages.append(1) }}",
        "{{ messages.clear() }}");
  }

  @ParameterizedTest
  @MethodSource("escapes")
  void letsNothingOutOfTheSandbox(String source) {
    String text;
    try {
      text = ChatTemplates.compile(source, null, null).render(Map.of("messages", List.of("m")));
    } catch (TemplateException e) {
      text = String.valueOf(e.getMessage());
    }
    for (String leak : List.of("java.", "dev.tessera", "<class", "Budget", "uid=", "root:", "@")) {
      assertFalse(text.contains(leak), text);
    }
  }

  @Test
  void reportsTheLineOfAFailure() throws TemplateException {
    var template = ChatTemplates.compile("a\n{% if true %}\n{{ x.y.z }}\n{% endif %}", null, null);
    var e = assertThrows(TemplateException.class, () -> template.render(Map.of()));
    assertEquals(3, e.line());
    assertTrue(e.getMessage().contains("'x' is undefined"), e.getMessage());
  }

  @Test
  void passesTheTemplatesOwnMessageOn() throws TemplateException {
    var template =
        ChatTemplates.compile("\n{{ raise_exception('Roles must alternate') }}", null, null);
    var e = assertThrows(TemplateException.class, () -> template.render(Map.of()));
    assertTrue(e.raised());
    assertEquals("Roles must alternate", e.getMessage());
  }

  @Test
  void leavesMissingSpecialTokensUndefined() throws TemplateException {
    var template =
        ChatTemplates.compile("[{{ bos_token }}{{ eos_token is defined }}]", null, "</s>");
    assertEquals("[True]", template.render(Map.of()));
  }
}
