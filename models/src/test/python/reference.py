"""The judge of fidelity: a Llama GGUF evaluated in fp32 with numpy, and what another evaluation of
the same tokens differs by.

usage: reference.py MODEL.gguf < stream

The stream holds little-endian int32: the number of texts, and for each text the number of its
tokens and the tokens; then, text by text and token by token, float32 logits of the evaluation under
test. Per text one line goes to standard output: tokens, mean KL divergence from the reference, and
the share of tokens whose most likely successor is the same.
"""

import struct
import sys

import numpy as np

ROWS = 64  # rows of logits that are compared at a time


class Gguf:
    """Metadata and dequantised tensors; the types are those of the default model."""

    SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def __init__(self, path):
        self.data = np.memmap(path, np.uint8, "r")
        self.at = 0
        magic, version, tensors, entries = self.take("<4sIQQ")
        assert magic == b"GGUF" and version in (2, 3), path
        self.meta = {}
        for _ in range(entries):
            key = self.string()
            self.meta[key] = self.value(self.take("<I")[0])
        table = []
        for _ in range(tensors):
            name = self.string()
            shape = self.take("<%dQ" % self.take("<I")[0])
            kind, offset = self.take("<IQ")
            table.append((name, shape, kind, offset))
        alignment = self.meta.get("general.alignment", 32)
        start = -(-self.at // alignment) * alignment
        self.tensors = {n: self.dequantise(start + o, s, k) for n, s, k, o in table}

    def take(self, layout):
        values = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return values

    def string(self):
        length = self.take("<Q")[0]
        text = bytes(self.data[self.at : self.at + length])
        self.at += length
        return text.decode("utf-8", "replace")

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            of, length = self.take("<IQ")
            return [self.value(of) for _ in range(length)]
        return self.take("<" + self.SCALARS[kind])[0]

    def dequantise(self, start, shape, kind):
        count = int(np.prod(shape))
        elements, size = {0: (1, 4), 1: (1, 2), 3: (32, 20), 8: (32, 34)}[kind]
        raw = self.data[start : start + count // elements * size]
        if kind == 0:
            values = raw.view("<f4")
        elif kind == 1:
            values = raw.view("<f2").astype(np.float32)
        elif kind == 3:  # Q4_1: scale, minimum, 32 nibbles, the low ones first
            blocks = raw.reshape(-1, size)
            scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
            least = blocks[:, 2:4].copy().view("<f2").astype(np.float32)
            nibbles = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
            values = nibbles * scale + least
        else:  # Q8_0: scale, 32 signed bytes
            blocks = raw.reshape(-1, size)
            scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
            values = blocks[:, 2:].view(np.int8) * scale
        return np.ascontiguousarray(values, np.float32).reshape(shape[::-1])


class Llama:
    def __init__(self, file):
        get = lambda key: file.meta["llama." + key]
        assert file.meta["general.architecture"] == "llama"
        self.layers = get("block_count")
        self.heads = get("attention.head_count")
        self.kv_heads = get("attention.head_count_kv")
        self.dim = get("embedding_length") // self.heads
        self.epsilon = get("attention.layer_norm_rms_epsilon")
        self.base = get("rope.freq_base")
        self.w = file.tensors
        self.embedding = self.w["token_embd.weight"]
        self.output = self.w.get("output.weight", self.embedding)

    def norm(self, x, name):
        scale = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(self.epsilon))
        return x * scale * self.w[name]

    def rotate(self, x):
        """x: [tokens][heads][dim], pairs interleaved; the row is the position."""
        frequencies = self.base ** (-np.arange(0, self.dim, 2) / self.dim)
        angle = np.arange(len(x))[:, None, None] * frequencies
        cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        y = np.empty_like(x)
        y[..., ::2] = x[..., ::2] * cos - x[..., 1::2] * sin
        y[..., 1::2] = x[..., ::2] * sin + x[..., 1::2] * cos
        return y

    def attend(self, x, block):
        n, d = len(x), self.dim
        q = self.rotate((x @ self.w[block + "attn_q.weight"].T).reshape(n, self.heads, d))
        k = self.rotate((x @ self.w[block + "attn_k.weight"].T).reshape(n, self.kv_heads, d))
        v = (x @ self.w[block + "attn_v.weight"].T).reshape(n, self.kv_heads, d)
        mask = np.triu(np.full((n, n), -np.inf, np.float32), 1)
        out = np.empty_like(q)
        group = self.heads // self.kv_heads
        for head in range(self.heads):
            scores = q[:, head] @ k[:, head // group].T * np.float32(d**-0.5) + mask
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            out[:, head] = weights @ v[:, head // group]
        return out.reshape(n, -1) @ self.w[block + "attn_output.weight"].T

    def feed_forward(self, x, block):
        gate = x @ self.w[block + "ffn_gate.weight"].T
        up = x @ self.w[block + "ffn_up.weight"].T
        return (gate / (1 + np.exp(-gate)) * up) @ self.w[block + "ffn_down.weight"].T

    def hidden(self, tokens):
        x = self.embedding[tokens]
        for layer in range(self.layers):
            block = "blk.%d." % layer
            x = x + self.attend(self.norm(x, block + "attn_norm.weight"), block)
            x = x + self.feed_forward(self.norm(x, block + "ffn_norm.weight"), block)
        return self.norm(x, "output_norm.weight")


def log_softmax(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True, dtype=np.float64))


def read(stream, count, kind):
    data = stream.read(4 * count)
    assert len(data) == 4 * count, "the stream ended early"
    return np.frombuffer(data, kind)


def main():
    model = Llama(Gguf(sys.argv[1]))
    stream = sys.stdin.buffer
    texts = [read(stream, read(stream, 1, "<i4")[0], "<i4") for _ in range(read(stream, 1, "<i4")[0])]
    vocabulary = len(model.output)
    for tokens in texts:
        hidden = model.hidden(tokens)
        divergence, same = 0.0, 0
        for at in range(0, len(tokens), ROWS):
            expected = hidden[at : at + ROWS] @ model.output.T
            found = read(stream, expected.size, "<f4").reshape(-1, vocabulary)
            p, q = log_softmax(expected), log_softmax(found)
            divergence += float((np.exp(p) * (p - q)).sum())
            same += int((expected.argmax(axis=1) == found.argmax(axis=1)).sum())
        print(len(tokens), divergence / len(tokens), same / len(tokens), flush=True)


main()
