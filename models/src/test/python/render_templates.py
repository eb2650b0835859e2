"""Renders chat templates with Python's jinja2, set up as transformers sets it up: the goldens of
ChatTemplatesTest.

    pip install jinja2==3.1.6
    python render_templates.py templates OUTPUT.json FOLDER_OF_JINJA_FILES ...
    python render_templates.py constructs OUTPUT.json CONSTRUCTS.txt WHITESPACE.txt
    python render_templates.py show FOLDER TEMPLATE CONVERSATION

The first writes the conversations, and for each template and conversation what came out: the text
(or, where it is long, its SHA-256), the message that the template raised, or that it failed. The
second does so for small templates: those of the first file a line each, those of the second between
lines of four hyphens. The third prints one rendering.
"""

import hashlib
import json
import pathlib
import sys
from datetime import datetime

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime(2025, 3, 9, 14, 5, 7)
LONGEST_TEXT = 100


class Raised(Exception):
    pass


class Generation(jinja2.ext.Extension):
    """`{% generation %}`: the text passes."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_pass")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _pass(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise Raised(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )

    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    # Not in transformers; some templates are written for engines that have it.
    env.filters["from_json"] = json.loads
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: NOW.strftime(form)
    return env


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


def call(name, arguments, id="abcd12345"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(content, name="get_weather", id="abcd12345"):
    return {"role": "tool", "tool_call_id": id, "name": name, "content": content}


def text(value):
    return {"type": "text", "text": value}


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a place, in \"plain\" words & numbers.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "Zürich, 東京 …"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "days": {"type": "integer", "minimum": 1, "maximum": 14},
            },
            "required": ["place"],
        },
    },
}
SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Searches.\nOver two lines.",
        "parameters": {
            "type": "object",
            "properties": {
                "queries": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "What to search for",
                },
                "filter": {
                    "type": "object",
                    "description": "Limits",
                    "properties": {
                        "after": {"type": ["string", "null"], "description": "A date"},
                        "score": {"type": "number", "default": 0.5},
                        "exact": {"type": "boolean", "default": False},
                    },
                    "additionalProperties": False,
                },
                "anything": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            },
            "required": ["queries", "filter"],
        },
        "strict": True,
    },
}
BARE = {"type": "function", "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}}}
TOOLS = [WEATHER, SEARCH, BARE]

SKY = user("Why is the sky blue?")
TURN = [SKY, assistant("Because of Rayleigh scattering.")]
ASKED = [
    user("Weather in Zürich?"),
    assistant(None, tool_calls=[call("get_weather", {"place": "Zürich", "days": 3})]),
]
NUMBERS = {
    "one": 1.0,
    "big": 1e20,
    "small": 1e-7,
    "tenth": 0.1,
    "wide": 12345678901234567890,
    "minus": -3,
    "yes": True,
    "no": False,
    "nothing": None,
    "list": [1, "two", 3.5, [], {}],
    "nested": {"quote": "'\"", "tab": "\t", "html": "<b>&amp;</b>", "é": "ü"},
}

CONVERSATIONS = {
    "user": {"messages": [SKY], "add_generation_prompt": True},
    "userNoPrompt": {"messages": [SKY]},
    "system": {"messages": [system("Be brief."), SKY], "add_generation_prompt": True},
    "systemOnly": {"messages": [system("Be brief.")], "add_generation_prompt": True},
    "developer": {
        "messages": [{"role": "developer", "content": "Be brief."}, SKY],
        "add_generation_prompt": True,
    },
    "turns": {
        "messages": [system("Be brief."), *TURN, user("And at dusk?")],
        "add_generation_prompt": True,
    },
    "turnsNoSystem": {"messages": [*TURN, user("And at dusk?")], "add_generation_prompt": True},
    "answered": {"messages": [system("Be brief."), *TURN]},
    "answeredPrompt": {"messages": TURN, "add_generation_prompt": True},
    "manyTurns": {"messages": TURN * 4 + [SKY], "add_generation_prompt": True},
    "tools": {"messages": [SKY], "tools": TOOLS, "add_generation_prompt": True},
    "toolsSystem": {
        "messages": [system("Be brief."), *TURN, SKY],
        "tools": TOOLS,
        "add_generation_prompt": True,
    },
    "called": {"messages": ASKED, "tools": TOOLS},
    "result": {
        "messages": [*ASKED, result('{"celsius": 21}')],
        "tools": TOOLS,
        "add_generation_prompt": True,
    },
    "resultAnswered": {
        "messages": [system("Be brief."), *ASKED, result("21 degrees"), assistant("It is 21 °C.")],
        "tools": TOOLS,
    },
    "resultThenTurn": {
        "messages": [*ASKED, result("21 degrees"), assistant("It is 21 °C."), user("Thanks!")],
        "tools": TOOLS,
        "add_generation_prompt": True,
    },
    "resultNoTools": {
        "messages": [*ASKED, result("21 degrees")],
        "add_generation_prompt": True,
    },
    "callText": {
        "messages": [
            user("Weather?"),
            assistant("Let me see.", tool_calls=[call("get_weather", '{"place": "Zürich"}')]),
            result("rain"),
        ],
        "tools": [WEATHER],
        "add_generation_prompt": True,
    },
    "callEmptyContent": {
        "messages": [
            user("Time?"),
            assistant("", tool_calls=[call("now", {})]),
            result("noon", "now"),
        ],
        "tools": [BARE],
        "add_generation_prompt": True,
    },
    "parallelCalls": {
        "messages": [
            user("Compare."),
            assistant(
                None,
                tool_calls=[
                    call("get_weather", {"place": "Bern"}, "aaaa11111"),
                    call("get_weather", {"place": "Rom", "unit": "celsius"}, "bbbb22222"),
                ],
            ),
            result("rain", id="aaaa11111"),
            result("sun", id="bbbb22222"),
            assistant("Go to Rome."),
            user("And search?"),
            assistant(None, tool_calls=[call("search", {"queries": ["a", "b"], "filter": {}})]),
            result('["x"]', "search"),
        ],
        "tools": TOOLS,
        "add_generation_prompt": True,
    },
    "callNumbers": {
        "messages": [
            user("Numbers."),
            assistant(None, tool_calls=[call("now", NUMBERS)]),
            result("ok", "now"),
        ],
        "tools": [BARE],
        "add_generation_prompt": True,
    },
    "callNoId": {
        "messages": [
            user("Time?"),
            assistant(None, tool_calls=[{"function": {"name": "now", "arguments": {"a": "b"}}}]),
            {"role": "tool", "content": "noon"},
        ],
        "add_generation_prompt": True,
    },
    "resultParts": {
        "messages": [*ASKED, {**result(None), "content": [text("21 "), text("degrees")]}],
        "tools": [WEATHER],
        "add_generation_prompt": True,
    },
    "parts": {
        "messages": [
            {"role": "system", "content": [text("Be brief.")]},
            {"role": "user", "content": [text("Why is "), text("the sky blue?")]},
            {"role": "assistant", "content": [text("Scattering.")]},
            {"role": "user", "content": [text("And at dusk?")]},
        ],
        "add_generation_prompt": True,
    },
    "unicode": {
        "messages": [
            system("Ümläut, 漢字, العربية, ไทย, 👩‍👩‍👧‍👦"),
            user("<b>\"quotes\" & 'apostrophes'</b>\u0301 \u200b\u00a0\ufeff"),
            assistant("tab\there\r\nand CRLF\n\nand {{ braces }} {% raw %}"),
            user("😀"),
        ],
        "add_generation_prompt": True,
    },
    "spaces": {
        "messages": [
            system("  indented \n"),
            user("\n\n leading and trailing \t\n"),
            assistant(" answer \n\n"),
            user("   "),
        ],
        "add_generation_prompt": True,
    },
    "emptyContent": {"messages": [system(""), user("")], "add_generation_prompt": True},
    "nullContent": {"messages": [SKY, assistant(None), SKY], "add_generation_prompt": True},
    "noContent": {"messages": [SKY, {"role": "assistant"}, SKY], "add_generation_prompt": True},
    "nullUser": {"messages": [user(None)], "add_generation_prompt": True},
    "nothing": {"messages": [], "add_generation_prompt": True},
    "twoUsers": {"messages": [SKY, SKY], "add_generation_prompt": True},
    "assistantFirst": {"messages": [assistant("Hello."), SKY], "add_generation_prompt": True},
    "lateSystem": {"messages": [*TURN, system("Be brief."), SKY], "add_generation_prompt": True},
    "unknownRole": {
        "messages": [SKY, {"role": "narrator", "content": "Meanwhile"}],
        "add_generation_prompt": True,
    },
    "toolRoleOnly": {"messages": [result("21 degrees")], "add_generation_prompt": True},
    "reasoning": {
        "messages": [
            SKY,
            assistant("Scattering.", reasoning_content="Light\nscatters."),
            user("And at dusk?"),
            assistant("Longer path.", reasoning_content="The sun is low."),
        ],
    },
    "reasoningCall": {
        "messages": [
            user("Weather?"),
            assistant(
                "",
                reasoning_content="I need the weather.",
                thinking="I need the weather.",
                tool_calls=[call("get_weather", {"place": "Bern"})],
            ),
            result("rain"),
        ],
        "tools": [WEATHER],
        "add_generation_prompt": True,
    },
    "thinkTags": {
        "messages": [
            SKY,
            assistant("<think>\nLight scatters.\n</think>\n\nScattering."),
            user("And at dusk?"),
        ],
        "add_generation_prompt": True,
    },
    "thinkingOff": {
        "messages": [system("Be brief."), SKY],
        "add_generation_prompt": True,
        "enable_thinking": False,
        "thinking": False,
        "reasoning_effort": "low",
    },
    "thinkingOn": {
        "messages": [system("Be brief. /no_think"), SKY],
        "tools": [WEATHER],
        "add_generation_prompt": True,
        "enable_thinking": True,
        "thinking": True,
        "reasoning_effort": "high",
    },
    "documents": {
        "messages": [SKY],
        "documents": [{"title": "Light", "text": "It scatters.", "doc_id": 1}],
        "add_generation_prompt": True,
    },
    "keywords": {
        "messages": [system("Be brief."), SKY],
        "tools": [WEATHER],
        "add_generation_prompt": True,
        "date_string": "1 Jan 2020",
        "tools_in_user_message": False,
        "builtin_tools": ["python", "browser", "code_interpreter", "wolfram_alpha"],
        "xml_tools": [],
        "python_tools": [],
        "model_identity": "You are a test.",
        "custom_instructions": "Rhyme.",
    },
}


def render(template, variables):
    given = {"tools": None, "documents": None, "add_generation_prompt": False, **variables}
    try:
        out = template.render(bos_token="<BOS>", eos_token="<EOS>", **given)
    except Raised as e:
        return f"raised {e}"
    except Exception as e:
        return f"failed {type(e).__name__}"
    if len(out) <= LONGEST_TEXT:
        return f"text {out}"
    return f"sha256 {hashlib.sha256(out.encode()).hexdigest()}"


CONSTRUCT_VARIABLES = {
    "s": "hello",
    "u": "añ😀b",
    "l": [1, 2, 3, 4, 5],
    "d": {"k": "v", "n": None},
    "people": [
        {"name": "Ann", "age": 30, "nick": "a"},
        {"name": "Bo", "age": 25},
        {"name": "ann", "age": 35},
    ],
    "tree": [{"n": 1, "c": [{"n": 2, "c": [{"n": 3}]}, {"n": 4}]}, {"n": 5}],
    "big": 12345678901234567890,
    "f1": 1e22,
}


def render_construct(source):
    try:
        return "text " + environment().from_string(source).render(**CONSTRUCT_VARIABLES)
    except Raised as e:
        return f"raised {e}"
    except Exception as e:
        return f"failed {type(e).__name__}"


def templates(folders):
    renderings = {}
    for folder in folders:
        for path in sorted(pathlib.Path(folder).glob("*.jinja")):
            template = environment().from_string(path.read_text(encoding="utf-8"))
            renderings[path.name] = {
                name: render(template, variables) for name, variables in CONVERSATIONS.items()
            }
    return {"now": NOW.isoformat(), "conversations": CONVERSATIONS, "renderings": renderings}


def constructs(lines, blocks):
    sources = pathlib.Path(lines).read_text(encoding="utf-8").splitlines()
    sources += pathlib.Path(blocks).read_text(encoding="utf-8").split("----\n")
    return {
        "variables": CONSTRUCT_VARIABLES,
        "renderings": [{"source": s, "rendered": render_construct(s)} for s in sources],
    }


def main():
    what, output, *rest = sys.argv[1:]
    if what == "show":
        name, conversation = rest
        source = (pathlib.Path(output) / name).read_text(encoding="utf-8")
        given = {"tools": None, "documents": None, "add_generation_prompt": False}
        print(
            environment()
            .from_string(source)
            .render(bos_token="<BOS>", eos_token="<EOS>", **given | CONVERSATIONS[conversation]),
            end="",
        )
        return
    goldens = templates(rest) if what == "templates" else constructs(*rest)
    pathlib.Path(output).write_text(
        json.dumps(goldens, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
