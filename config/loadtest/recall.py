#!/usr/bin/env python3
"""Prompts that come back from the disk beside prompts that are computed: the time to the first token.

    python3 config/loadtest/recall.py --policy balanced --tokens 4096 --memory 160M

Prompts of random token ids are asked until memory has given the first ones up; then old ones and new
ones take turns, and after a restart over the same directory the old ones are asked once more. An old
prompt's answer must be what it was. Figures are medians; a ratio is computed over recalled. Files still
lie in the page cache of the system, unless `--cold` throws them out before an old prompt is asked.
Standard library only.
"""
import argparse
import json
import os
import random
import statistics
import tempfile
import time
import urllib.request

from peers import ROOT, Server, tokens


def ask(server, prompt):
    """Seconds to the first token, the answer, and prompt tokens that were found."""
    body = json.dumps({'prompt': prompt, 'max_tokens': 16, 'temperature': 0, 'ignore_eos': True, 'logprobs': 1,
                       'stream': True, 'stream_options': {'include_usage': True}}).encode()
    request = urllib.request.Request(f'http://127.0.0.1:{server.port}/v1/completions', body,
                                     {'content-type': 'application/json'})
    sent = time.perf_counter()
    first, answer, cached = None, [], 0
    with urllib.request.urlopen(request, timeout=600) as lines:
        for line in lines:
            if not line.startswith(b'data: {'):
                continue
            event = json.loads(line[6:])
            if event['choices']:
                first = first or time.perf_counter() - sent
                answer.append((event['choices'][0]['text'], event['choices'][0].get('logprobs')))
            if event.get('usage'):
                cached = event['usage']['prompt_tokens_details']['cached_tokens']
    return first, answer, cached


def fetched(server):
    """Blocks that came from the disk so far."""
    with urllib.request.urlopen(f'http://127.0.0.1:{server.port}/metrics') as lines:
        return next(float(line.split()[-1]) for line in lines if line.startswith(b'tessera_kv_tier_fetched'))


def leave_page_cache(directory):
    """Throws the files of a directory out of the page cache. Needs no rights."""
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                file = os.open(os.path.join(folder, name), os.O_RDONLY)
            except FileNotFoundError:  # given up in the meantime
                continue
            try:
                os.fsync(file)  # only clean pages leave
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)


def report(what, computed, recalled):
    c, r = statistics.median(computed), statistics.median(recalled)
    print(f'{what}: computed {c:.2f} s, recalled {r:.3f} s, ratio {c / r:.1f}, {len(recalled)} readings')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--policy', default='exact')
    parser.add_argument('--tokens', type=int, default=4096)
    parser.add_argument('--prompts', type=int, default=5)
    parser.add_argument('--memory', default='256M', help='too little for all prompts')
    parser.add_argument('--threads', default='0')
    parser.add_argument('--cold', action='store_true', help='old prompts come from the disk itself')
    args = parser.parse_args()
    rng = random.Random(1)
    prompts = [tokens(rng, args.tokens) for _ in range(args.prompts)]
    with tempfile.TemporaryDirectory() as directory:
        command = [os.path.join(ROOT, 'tessera'), 'serve', '--port', '{port}', '--kv-cache', args.policy,
                   '--kv-memory', args.memory, '--kv-disk', '8G', '--kv-disk-directory', directory,
                   '--threads', args.threads]
        server = Server('tessera', command)
        try:
            answers = [ask(server, prompt)[1] for prompt in prompts]
            computed, recalled = [], []
            for prompt, expected in zip(prompts, answers):
                before = fetched(server)
                if args.cold:
                    leave_page_cache(directory)
                seconds, answer, cached = ask(server, prompt)
                assert answer == expected, 'a prompt from the disk was answered otherwise'
                blocks = fetched(server) - before
                print(f'{cached} of {len(prompt)} tokens need not be computed; {blocks:.0f} blocks came from the disk')
                if cached and blocks:
                    recalled.append(seconds)
                computed.append(ask(server, tokens(rng, args.tokens))[0])
            if not recalled:
                raise SystemExit('nothing came from the disk: less --memory, or more --prompts')
            report('one process', computed, recalled)
        finally:
            server.stop()
        server = Server('tessera', command)
        try:
            again = []
            for prompt, expected in zip(prompts, answers):
                if args.cold:
                    leave_page_cache(directory)
                seconds, answer, cached = ask(server, prompt)
                assert answer == expected and cached, 'a prompt was not found after the restart'
                again.append(seconds)
            report('after a restart', computed, again)
        finally:
            server.stop()


if __name__ == '__main__':
    main()
