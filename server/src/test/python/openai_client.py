"""Checks a server with OpenAI's own client: sync, async, streams, log probabilities, errors.

usage: openai_client.py BASE_URL        (the server answers "Hello, world!"; its key is "key")
"""
import asyncio
import sys

import openai

BASE = sys.argv[1]
TEXT = "Hello, world!"
MESSAGES = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
client = openai.OpenAI(base_url=BASE, api_key="key", max_retries=0)


def expect(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def models():
    assert [m.id for m in client.models.list()] == ["fake", "org/alias"]
    assert client.models.retrieve("org/alias").object == "model"


def chat():
    answer = client.chat.completions.create(model="fake", messages=MESSAGES, n=2, seed=1, user="u")
    assert [c.message.content for c in answer.choices] == [TEXT, TEXT]
    assert [c.index for c in answer.choices] == [0, 1]
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens_details.cached_tokens == 3
    limited = client.chat.completions.create(model="fake", messages=MESSAGES, max_completion_tokens=5)
    assert limited.choices[0].message.content == "Hello"
    assert limited.choices[0].finish_reason == "length"


def chat_stream():
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(
        model="fake", messages=MESSAGES, stream=True, stream_options=options))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[0].choices[0].delta.content == ""
    assert all(c.choices[0].delta.role is None for c in chunks[1:-1])
    assert "".join(c.choices[0].delta.content or "" for c in chunks[:-1]) == TEXT
    assert [c.choices[0].finish_reason for c in chunks[:-1] if c.choices[0].finish_reason] == ["stop"]
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 13
    with client.chat.completions.stream(model="fake", messages=MESSAGES) as stream:
        assert stream.get_final_completion().choices[0].message.content == TEXT


def logprobs():
    answer = client.chat.completions.create(model="fake", messages=MESSAGES, logprobs=True, top_logprobs=3)
    content = answer.choices[0].logprobs.content
    assert "".join(t.token for t in content) == TEXT
    assert all(t.logprob <= 0 and len(t.bytes) == 1 and len(t.top_logprobs) == 3 for t in content)
    text = client.completions.create(model="fake", prompt="ab", logprobs=2, echo=True).choices[0]
    assert text.text == "ab" + TEXT
    assert text.logprobs.token_logprobs[0] is None and text.logprobs.token_logprobs[1] <= 0
    assert len(text.logprobs.tokens) == len(text.logprobs.text_offset) == 3 + len(TEXT)


def completions():
    answer = client.completions.create(model="fake", prompt=["a", "b"], n=2)
    assert [c.index for c in answer.choices] == [0, 1, 2, 3]
    assert client.completions.create(model="fake", prompt=[1, 2, 3]).choices[0].text == TEXT
    assert client.completions.create(model="fake", prompt="a", stop=[", w"]).choices[0].text == "Hello"
    stream = client.completions.create(model="fake", prompt="a", stream=True)
    assert "".join(c.choices[0].text for c in stream) == TEXT


def errors():
    bad = expect(openai.BadRequestError, lambda: client.chat.completions.create(
        model="fake", messages=MESSAGES, temperature=3))
    assert bad.param == "temperature" and bad.type == "invalid_request_error", bad.body
    long = expect(openai.BadRequestError, lambda: client.completions.create(
        model="fake", prompt="x" * 3000, stream=True))
    assert "maximum context length is 2048 tokens" in long.message
    expect(openai.NotFoundError, lambda: client.completions.create(model="nobody", prompt="a"))
    stranger = openai.OpenAI(base_url=BASE, api_key="wrong", max_retries=0)
    assert expect(openai.AuthenticationError, stranger.models.list).status_code == 401
    raw = client.chat.completions.with_raw_response.create(model="fake", messages=MESSAGES)
    assert raw.headers["x-request-id"] == raw.request_id


async def asynchronously():
    async with openai.AsyncOpenAI(base_url=BASE, api_key="key", max_retries=0) as c:
        answers = await asyncio.gather(*(
            c.chat.completions.create(model="fake", messages=MESSAGES) for _ in range(8)))
        assert all(a.choices[0].message.content == TEXT for a in answers)
        text = ""
        async for chunk in await c.chat.completions.create(model="fake", messages=MESSAGES, stream=True):
            text += chunk.choices[0].delta.content or ""
        assert text == TEXT


for check in (models, chat, chat_stream, logprobs, completions, errors):
    check()
asyncio.run(asynchronously())
print("all checks passed")
