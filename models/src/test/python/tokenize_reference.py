"""Writes the reference tokens of a text: one line per segment, the number of tokens and the start of
the SHA-256 of their ids (32-bit, little-endian). Segments are separated by U+001E and a newline.

    java -cp target/test-classes dev.tessera.models.tokenizer.MixedText mixed.txt
    python tokenize_reference.py mixed.txt tokenizer.json > gemma.txt     (package tokenizers 0.23.3)
    python tokenize_reference.py mixed.txt vocab.gguf libllama.so > phi-3.txt       (llama.cpp)

With one more argument it writes the ids themselves, to look into a difference.
"""

import ctypes
import hashlib
import struct
import sys


def hugging_face(path):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(path)
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def llama_cpp(path, library):
    class ModelParams(ctypes.Structure):  # llama_model_params of llama-cpp-python 0.3.36
        _fields_ = (
            [(name, ctypes.c_void_p) for name in ("devices", "overrides")]
            + [(f"number{i}", ctypes.c_int32) for i in range(5)]
            + [(f"pointer{i}", ctypes.c_void_p) for i in range(4)]
            + [("vocab_only", ctypes.c_bool)]
            + [(f"flag{i}", ctypes.c_bool) for i in range(5)]
        )

    llama = ctypes.CDLL(library)
    log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
    llama.llama_log_set(log, None)
    llama.llama_backend_init()
    llama.llama_model_default_params.restype = ModelParams
    llama.llama_model_load_from_file.argtypes = [ctypes.c_char_p, ModelParams]
    llama.llama_model_load_from_file.restype = ctypes.c_void_p
    llama.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
    llama.llama_model_get_vocab.restype = ctypes.c_void_p
    llama.llama_tokenize.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_int32,
        ctypes.POINTER(ctypes.c_int32),
        ctypes.c_int32,
        ctypes.c_bool,
        ctypes.c_bool,
    ]
    params = llama.llama_model_default_params()
    params.vocab_only = True
    model = llama.llama_model_load_from_file(path.encode(), params)
    vocab = llama.llama_model_get_vocab(model)

    def encode(text):
        raw = text.encode()
        ids = (ctypes.c_int32 * (len(raw) + 16))()
        count = llama.llama_tokenize(vocab, raw, len(raw), ids, len(ids), False, False)
        return list(ids[:count])

    encode.keep = log
    return encode


def main():
    text, vocabulary, *rest = sys.argv[1:]
    with open(text, encoding="utf-8", newline="") as file:
        segments = file.read().split("\x1e\n")
    if vocabulary.endswith(".json"):
        encode = hugging_face(vocabulary)
    else:
        encode = llama_cpp(vocabulary, rest.pop(0))
    for segment in segments:
        ids = encode(segment)
        if rest:
            print(*ids)
        else:
            digest = hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()
            print(len(ids), digest[:12])


main()
