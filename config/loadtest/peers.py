#!/usr/bin/env python3
"""Tessera beside its peers: the same model file, the same machine, one run, rounds interleaved.

    python3 config/loadtest/peers.py --model model.gguf --llama-server path/to/llama-server
    python3 config/loadtest/peers.py --model model.gguf --build        # builds llama-server first (minutes)

Every server is driven over HTTP with streaming completions of random token ids, so that no prefix
cache helps and no tokenizer counts. Only the server being measured works; the others wait. Figures
are medians over the rounds; a ratio is ours over theirs. Standard library only.

    pp512     prompt tokens per second of a 512-token prompt, by the time to its first token
    tg128     tokens per second of one stream, 128 tokens, from its first to its last
    s32       tokens per second of 32 streams (prompt 128), over the first 32 x 64 tokens after all of them decode
    ttft4k    seconds to the first token of a 4,096-token prompt
    tg@7k     tokens per second of one stream behind a 7,000-token prompt
    tg@8k     the same behind 8,000 tokens
    s16@8k    tokens per second of 16 streams, each behind 7,900 tokens of its own, which a prefix cache has to hold
              (not measured unless asked for)

Both sides can stand there several times, with other flags, for example to compare caches:

    peers.py --model M --build --only tg@8k --our-flags '--kv-cache exact' --our-flags '--kv-cache near-lossless' \
      --peer-flags '-fa on' --peer-flags '-fa on -ctk q8_0 -ctv q8_0'

With `--neighbours 0,1,2` every reading is taken beside so many busy processes, too: where they and a
server of two threads share two cores evenly, it has two thirds of them and half of them left.

The first of ours is what the peers are compared with; the others of ours are compared with it.
"""
import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tarfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CACHE = os.environ.get('TESSERA_TEST_CACHE', os.path.expanduser('~/.cache/tessera-tests'))
PACKAGE = 'llama-cpp-python==0.3.36'


def build_llama(jobs):
    """llama-server and llama-quantize, built natively from the pinned source distribution."""
    target = os.path.join(CACHE, 'llama-build')
    server = os.path.join(target, 'bin', 'llama-server')
    if not os.path.exists(server):
        os.makedirs(CACHE, exist_ok=True)
        subprocess.run([sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', '--no-binary', ':all:',
                        '-d', CACHE, PACKAGE], check=True)
        archive = next(f for f in os.listdir(CACHE) if f.startswith('llama_cpp_python') and f.endswith('.tar.gz'))
        with tarfile.open(os.path.join(CACHE, archive)) as tar:
            tar.extractall(CACHE, filter='data')
        source = os.path.join(CACHE, archive.removesuffix('.tar.gz'), 'vendor', 'llama.cpp')
        subprocess.run(['cmake', '-S', source, '-B', target, '-DCMAKE_BUILD_TYPE=Release', '-DGGML_NATIVE=ON',
                        '-DLLAMA_CURL=OFF', '-DLLAMA_OPENSSL=OFF', '-DLLAMA_BUILD_TESTS=OFF',
                        '-DLLAMA_BUILD_EXAMPLES=OFF'], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(['cmake', '--build', target, '-j', str(jobs), '--target', 'llama-server', 'llama-quantize'],
                       check=True, stdout=subprocess.DEVNULL)
    return server


class Server:
    """A server process on a port of its own."""

    def __init__(self, name, command, env=None):
        self.name = name
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            self.port = s.getsockname()[1]
        self.log = open(os.path.join(CACHE, f'{name.replace(" ", "-")}.log'), 'w')
        self.process = subprocess.Popen([a.replace('{port}', str(self.port)) for a in command],
                                        stdout=self.log, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})})
        for _ in range(600):
            if self.process.poll() is not None:
                raise SystemExit(f'{name} ended at start; see {self.log.name}')
            try:
                with urllib.request.urlopen(f'http://127.0.0.1:{self.port}/health', timeout=2) as r:
                    if r.status == 200:
                        return
            except OSError:
                pass
            time.sleep(0.5)
        raise SystemExit(f'{name} is not ready after 300 s; see {self.log.name}')

    def cpu_seconds(self):
        fields = open(f'/proc/{self.process.pid}/stat').read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def resident_mb(self):
        for line in open(f'/proc/{self.process.pid}/status'):
            if line.startswith('VmRSS'):
                return int(line.split()[1]) / 1024
        return 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


async def stream(port, prompt, new, on_token=None, caches=False):
    """One streaming completion; the times at which text came, nearly always one entry a token, and when it was sent."""
    body = json.dumps({'prompt': prompt, 'max_tokens': new, 'temperature': 0, 'stream': True, 'ignore_eos': True,
                       'cache_prompt': caches, 'return_tokens': False}).encode()
    reader, writer = await asyncio.open_connection('127.0.0.1', port, limit=1 << 20)
    sent = time.perf_counter()
    writer.write(b'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
                 b'Connection: close\r\nContent-Length: %d\r\n\r\n' % len(body) + body)
    await writer.drain()
    status = await reader.readline()
    if b' 200 ' not in status:
        raise SystemExit(f'{status!r} {await reader.read(2000)!r}')
    times = []
    try:
        while True:
            line = await reader.readline()
            if not line or line.startswith(b'data: [DONE]'):
                break
            # A chunk that finishes may carry no token; its text is then empty in both servers' answers.
            if line.startswith(b'data: ') and (b'"finish_reason":null' in line or b'"finish_reason": null' in line):
                times.append(time.perf_counter())
                if on_token:
                    on_token()
    finally:
        writer.close()
    return sent, times


@contextlib.contextmanager
def neighbours(count):
    """Processes that compute for ever, while the block runs."""
    busy = [subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(count)]
    try:
        if busy:
            time.sleep(0.5)
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def tokens(rng, count):
    return [rng.randrange(1000, 40000) for _ in range(count)]


async def pp(port, rng, length=512):
    sent, times = await stream(port, tokens(rng, length), 2)
    return length / (times[0] - sent)


async def ttft(port, rng, length):
    sent, times = await stream(port, tokens(rng, length), 2)
    return times[0] - sent


async def tg(port, rng, context=16, new=128):
    # Not by the chunks: a token that ends in the middle of a character has none.
    _, times = await stream(port, tokens(rng, context), new)
    return (new - 1) / (times[-1] - times[0])


async def streams(port, rng, count=32, context=128, new=64, limit=500, prepares=False):
    """Tokens per second of all streams together, over the first `count * new` tokens that come once every
    stream decodes. The streams are asked for more than that and then cut off: a server that decodes while it
    reads prompts has its first streams far ahead when the last one begins. Where prompts take minutes they are
    asked for one by one before, and a prefix cache has them then."""
    prompts = [tokens(rng, context) for _ in range(count)]
    for prompt in prompts if prepares else []:
        await stream(port, prompt, 1, caches=True)
    everyone, ends = [[] for _ in range(count)], asyncio.Event()
    begin = 0.0

    def arrived(times):
        nonlocal begin
        times.append(time.perf_counter())
        if not begin and all(everyone):
            begin = times[-1]
        if begin and sum(t > begin for each in everyone for t in each) >= count * new:
            ends.set()

    tasks = [asyncio.create_task(stream(port, prompt, limit, lambda times=times: arrived(times), prepares))
             for prompt, times in zip(prompts, everyone)]
    waiting = asyncio.create_task(ends.wait())
    await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    complete = ends.is_set()
    for task in (waiting, *tasks):
        task.cancel()
    await asyncio.gather(waiting, *tasks, return_exceptions=True)
    if not complete:
        raise SystemExit('a stream ended before all had decoded together for long enough')
    inside = sorted(t for times in everyone for t in times if t > begin)[:count * new]
    await asyncio.sleep(0.5)  # until the server has noticed
    return len(inside) / (inside[-1] - begin)


MEASURES = {
    'pp512': (lambda p, r: pp(p, r), True),
    'tg128': (lambda p, r: tg(p, r), True),
    's32': (lambda p, r: streams(p, r), True),
    'ttft4k': (lambda p, r: ttft(p, r, 4096), False),
    'tg@7k': (lambda p, r: tg(p, r, 7000, 64), True),
    'tg@8k': (lambda p, r: tg(p, r, 8000, 128), True),
    's16@8k': (lambda p, r: streams(p, r, 16, 7900, 8, 280, True), True),
}
SHORT = ('pp512', 'tg128', 's32')


def beside(name, count):
    """What a measure is called beside so many busy processes."""
    return f'{name} beside {count}' if count else name


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', required=True)
    parser.add_argument('--llama-server', action='append', default=[], metavar='PATH',
                        help='a llama-server (llama.cpp or a fork); may be repeated')
    parser.add_argument('--build', action='store_true', help='build llama-server from the pinned source')
    parser.add_argument('--peer-flags', action='append', default=[], metavar='FLAGS',
                        help='flags of the peers; every one given is tried and the best figure of each counts '
                             '(default: "-fa on" and "-fa off")')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--only', default='pp512,tg128,s32,ttft4k,tg@7k')
    parser.add_argument('--ours', default=os.path.join(ROOT, 'tessera'))
    parser.add_argument('--our-flags', action='append', default=[], metavar='FLAGS', help='may be repeated')
    parser.add_argument('--neighbours', default='0', metavar='COUNTS',
                        help='busy processes beside which to measure, for example 0,1,2')
    parser.add_argument('--same-prompts', action='store_true',
                        help='ask the same in every round: a prefix cache helps to the first token, so for tg only')
    parser.add_argument('--no-warm-up', action='store_true', help='every round counts')
    parser.add_argument('--every', action='store_true', help="show every one of a peer's flags, not only the best")
    parser.add_argument('--json', help='write all readings to this file')
    args = parser.parse_args()
    os.makedirs(CACHE, exist_ok=True)
    peers = args.llama_server + ([build_llama(args.threads)] if args.build else [])
    measures = args.only.split(',')
    counts = [int(count) for count in args.neighbours.split(',')]

    # 32 slots of 256 tokens for the short workloads, one long slot for the others: llama.cpp divides its
    # context among its slots. Ours needs no such choice.
    kinds = {'short': [m for m in measures if m in SHORT], 'long': [m for m in measures if m not in SHORT]}
    readings = {}
    for kind, names in kinds.items():
        if not names:
            continue
        servers = [Server(f'tessera {flags}'.strip(),
                          [args.ours, 'serve', '--model', args.model, '--threads', str(args.threads), '--port', '{port}',
                           '--context', '8192', '--parallel', '32', *flags.split()])
                   for flags in args.our_flags or ['']]
        ours = [server.name for server in servers]
        slots = '32' if kind == 'short' else '1'
        context = str(32 * 640) if kind == 'short' else '8192'
        for path in peers:
            for flags in args.peer_flags or ['-fa on', '-fa off']:
                label = os.path.basename(os.path.dirname(os.path.dirname(os.path.abspath(path)))) + ' ' + flags
                servers.append(Server(label, [path, '-m', args.model, '-t', str(args.threads), '--port', '{port}',
                                              '-np', slots, '-c', context, *flags.split()]))
        try:
            rng = random.Random(1)

            def measure(name, server):
                return asyncio.run(MEASURES[name][0](server.port, random.Random(1) if args.same_prompts else rng))

            for server in servers:  # a first round warms up and does not count
                for name in [] if args.no_warm_up else names:
                    measure(name, server)
            for r in range(args.rounds):
                for name, count in [(name, count) for name in names for count in counts]:
                    for server in servers if r % 2 == 0 else reversed(servers):
                        with neighbours(count):
                            cpu = server.cpu_seconds()
                            begin = time.perf_counter()
                            value = measure(name, server)
                            used = (server.cpu_seconds() - cpu) / (time.perf_counter() - begin)
                        label = beside(name, count)
                        readings.setdefault(label, {}).setdefault(server.name, []).append(value)
                        print(f'round {r + 1} {label:7s} {server.name:36s} {value:10.2f}   {used:4.2f} cores',
                              flush=True)
            for server in servers:
                print(f'resident {server.name:28s} {server.resident_mb():8.0f} MB')
        finally:
            for server in servers:
                server.stop()

    print(f'\n{os.path.basename(args.model)}, {args.threads} threads, medians of {args.rounds} rounds')
    for workload, count in [(name, count) for name in measures for count in counts]:
        name, more_is_better = beside(workload, count), MEASURES[workload][1]
        best = max if more_is_better else min
        medians = {s: statistics.median(v) for s, v in readings[name].items()}
        first = medians.pop(ours[0])
        compared = {s: medians.pop(s) for s in ours[1:]}
        by_peer = {}
        for s, v in medians.items():
            peer = s if args.every else s.split(' ')[0]
            by_peer[peer] = (v, s) if peer not in by_peer else best(by_peer[peer], (v, s))
        span = f'[{min(readings[name][ours[0]]):.2f}-{max(readings[name][ours[0]]):.2f}]'
        print(f'{name:7s} {ours[0]} {first:9.2f} {span}')
        for s, v in [*compared.items(), *((s, v) for v, s in by_peer.values())]:
            ratio = first / v if more_is_better else v / first
            print(f'        {s} {v:9.2f} [{min(readings[name][s]):.2f}-{max(readings[name][s]):.2f}] '
                  f'{ours[0]} is {ratio:5.2f} times as fast')
    if args.json:
        with open(args.json, 'w') as f:
            json.dump(readings, f, indent=1)


if __name__ == '__main__':
    main()
