#!/usr/bin/env python3
"""How far Tessera's logits and llama.cpp's lie from an fp32 evaluation of the same weights, on the same texts.

    python3 config/loadtest/fidelity.py --model model.gguf --llama-source DIR --llama-build DIR

DIR: the source of llama.cpp and a build of it with shared libraries (peers.py --build makes both). Ours is what
the test FidelityTest measures; llama.cpp's logits go through the same judge (models/src/test/python/reference.py,
numpy from PyPI). The texts are the test's: prose, code, a chat and tables, 1,024 tokens each. Prints mean KL
divergence in nats and the share of tokens whose most likely successor is the reference's.
"""
import argparse
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TEXTS = ['prose', 'code', 'chat', 'tables']


def compile_probe(source, build, folder):
    probe = os.path.join(folder, 'llama_logits')
    libraries = os.path.join(build, 'bin')
    subprocess.run(['cc', '-O2', '-o', probe, os.path.join(HERE, 'llama_logits.c'),
                    '-I' + os.path.join(source, 'include'), '-I' + os.path.join(source, 'ggml', 'include'),
                    '-L' + libraries, '-lllama', '-lggml', '-lggml-base', '-Wl,-rpath,' + os.path.abspath(libraries),
                    '-Wl,-rpath-link,' + os.path.abspath(libraries)], check=True)
    return probe


def run_ours(folder):
    """The readings of FidelityTest, and the tokens that it used."""
    subprocess.run(['mvn', '-B', '-q', '-pl', 'models', '-am', 'test', '-Dtest=FidelityTest',
                    '-Dsurefire.failIfNoSpecifiedTests=false'], cwd=ROOT, check=True,
                   env={**os.environ, 'TESSERA_FIDELITY': folder})
    with open(os.path.join(folder, 'readings')) as lines:
        readings = [tuple(map(float, line.split())) for line in lines]
    with open(os.path.join(folder, 'tokens'), 'rb') as tokens:
        return dict(zip(TEXTS, readings, strict=True)), tokens.read()


def judge(model, tokens, logits):
    """Mean divergence and agreement per text, of a process whose output is logits."""
    script = os.path.join(ROOT, 'models', 'src', 'test', 'python', 'reference.py')
    reference = subprocess.Popen([sys.executable, script, model], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    reference.stdin.write(tokens)
    while chunk := logits.read(1 << 20):
        reference.stdin.write(chunk)
    reference.stdin.close()
    rows = [line.split() for line in reference.stdout.read().decode().splitlines()]
    if reference.wait() != 0:
        raise SystemExit('the reference failed')
    return {name: (float(kl), float(same)) for name, (_, kl, same) in zip(TEXTS, rows, strict=True)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', required=True)
    parser.add_argument('--llama-source', required=True)
    parser.add_argument('--llama-build', required=True)
    parser.add_argument('--threads', type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = {}
        results['tessera'], tokens = run_ours(folder)
        probe = compile_probe(args.llama_source, args.llama_build, folder)
        for flash in '0', '1':
            process = subprocess.Popen([probe, args.model, str(args.threads), flash], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE)
            process.stdin.write(tokens)
            process.stdin.close()
            results[f'llama.cpp -fa {"on" if flash == "1" else "off"}'] = judge(args.model, tokens, process.stdout)
            if process.wait() != 0:
                raise SystemExit('llama.cpp failed')
    print(f'{"":20s}' + ''.join(f'{name:>20s}' for name in [*TEXTS, 'mean']))
    means = {}
    for name, found in results.items():
        kl, same = (sum(found[text][i] for text in TEXTS) / len(TEXTS) for i in (0, 1))
        means[name] = kl
        cells = [found[text] for text in TEXTS] + [(kl, same)]
        print(f'{name:20s}' + ''.join(f'{kl:11.5f} {100 * same:6.2f} %' for kl, same in cells))
    ours = means.pop('tessera')
    for name, kl in means.items():
        print(f'mean divergence, ours over {name}: {ours / kl:.2f}')


if __name__ == '__main__':
    main()
