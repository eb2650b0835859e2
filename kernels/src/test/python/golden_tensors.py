"""Writes the golden tensors of DequantizerTest: random blocks, and their values by the package gguf.

usage: pip install gguf numpy; python golden_tensors.py OUTPUT_DIRECTORY

<type>.bin holds 3 rows of 256 elements as they lie in a GGUF file, <type>.f32 the same as little-endian floats.
"""
import sys
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

ROWS, COLUMNS = 3, 256
# Where the f16 scales of a block lie; every other byte may hold any value.
HALVES = {T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2],
          T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}

out = Path(sys.argv[1])
random = np.random.default_rng(20251)
for kind in [T.F32, T.F16, T.BF16, *HALVES]:
    elements, size = GGML_QUANT_SIZES[kind]
    values = random.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    if kind == T.F32:
        raw = values.view(np.uint8)
    elif kind == T.F16:
        raw = values.astype(np.float16).view(np.uint8)
    elif kind == T.BF16:
        raw = (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    else:
        blocks = random.integers(0, 256, size=(ROWS * COLUMNS // elements, size), dtype=np.uint8)
        for at in HALVES[kind]:
            halves = random.normal(scale=0.02, size=(len(blocks), 1)).astype(np.float16)
            blocks[:, at:at + 2] = halves.view(np.uint8)
        raw = blocks.reshape(ROWS, -1)
    floats = dequantize(raw, kind) if kind != T.F32 else values
    (out / f'{kind.name}.bin').write_bytes(raw.tobytes())
    (out / f'{kind.name}.f32').write_bytes(np.ascontiguousarray(floats, '<f4').tobytes())
