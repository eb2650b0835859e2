package dev.tessera.server.http;

import dev.tessera.kvcache.CachePicture;
import dev.tessera.kvcache.KvStats;
import dev.tessera.kvcache.TierStats;
import dev.tessera.server.engine.Admission;
import dev.tessera.server.engine.EngineStats;
import dev.tessera.server.engine.FinishReason;
import dev.tessera.server.engine.Generation;
import dev.tessera.server.engine.GenerationRequest;
import dev.tessera.server.engine.TokenEngine;
import dev.tessera.server.engine.TokenEvent;
import dev.tessera.server.engine.TokenEvent.Scored;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/// Says what a test tells it to say, at once or when the test lets it.
final class FakeEngine implements TokenEngine {
  static final int CONTEXT = 2048;

  /// The text that answers a request, as tokens of [FakeTokenizer]; END stops it.
  volatile Function<GenerationRequest, int[]> script = request -> bytes("Hello, world!");

  /// Refuses a request, or null.
  volatile Function<GenerationRequest, Admission> refusal = request -> null;

  /// Time between two tokens.
  volatile long tokenMillis;

  /// Whether requests stay in the queue.
  volatile boolean stalled;

  volatile boolean alive = true;
  volatile FinishReason ending = FinishReason.STOP;
  final List<GenerationRequest> requests = new ArrayList<>();
  final Set<FakeGeneration> running = ConcurrentHashMap.newKeySet();

  static int[] bytes(String text) {
    return new FakeTokenizer().encode(text, false, false);
  }

  @Override
  public synchronized Admission submit(GenerationRequest request) {
    Admission refused = refusal.apply(request);
    if (refused != null) {
      return refused;
    }
    requests.add(request);
    var generation = new FakeGeneration(request);
    running.add(generation);
    Thread.ofVirtual().start(generation::produce);
    return new Admission.Accepted(generation);
  }

  synchronized GenerationRequest lastRequest() {
    return requests.getLast();
  }

  @Override
  public int contextTokens() {
    return CONTEXT;
  }

  @Override
  public EngineStats stats() {
    return new EngineStats(
        running.size(),
        3,
        10,
        20,
        100,
        1,
        2,
        0,
        0,
        3,
        40,
        30,
        5,
        60,
        70,
        80,
        9,
        0,
        0,
        List.of(),
        List.of(),
        List.of());
  }

  @Override
  public CachePicture picture(Duration limit) {
    var form = new CachePicture.Form(4_096, List.of("exact-f16"), List.of("exact-f16"));
    var cooled = new CachePicture.Form(1_024, List.of("p4"), List.of("p3"));
    var live =
        new CachePicture.Block(7, 0, List.of(0, 1), List.of(0, 2), List.of(1, 0), true, 0, 0.5f);
    var idle = new CachePicture.Block(8, 1, List.of(0), List.of(0), List.of(0), true, 5, null);
    var disk =
        new KvStats.TierUse(
            new TierStats(
                "disk",
                Map.of(new TierStats.Place(0, 1), 5L, new TierStats.Place(0, 0), 2L),
                9_000,
                20_000,
                12,
                1,
                6,
                0,
                3,
                4),
            List.of(),
            new KvStats.RecallStats(7, 8, 9));
    return new CachePicture(
        "exact:first=0,last=64;k=p4;v=p3",
        new KvStats(1, 1, 9, 1_024, 8_192, 0, 4_096, 36_864, 0, 0, 0, 1, List.of(), List.of(disk)),
        List.of(new CachePicture.Group(List.of(0), 0, List.of(form, cooled), List.of(live, idle))));
  }

  @Override
  public boolean drain(Duration limit) {
    return true;
  }

  @Override
  public boolean isAlive() {
    return alive;
  }

  final class FakeGeneration implements Generation {
    private final GenerationRequest request;
    private final LinkedBlockingQueue<TokenEvent> events = new LinkedBlockingQueue<>();
    private final Set<Integer> cancelled = ConcurrentHashMap.newKeySet();
    private volatile boolean abort;
    private final long accepted = System.nanoTime();
    private volatile long first;
    private volatile long finished;

    FakeGeneration(GenerationRequest request) {
      this.request = request;
    }

    private void produce() {
      try {
        while (stalled && !abort) {
          Thread.sleep(1);
        }
        int[] text = script.apply(request);
        if (request.sampling().promptLogprobs() >= 0) {
          for (int i = 1; i < request.prompt().length; i++) {
            events.add(new TokenEvent.PromptToken(0, i, scored(request.prompt()[i])));
          }
        }
        List<Integer> open = new ArrayList<>();
        for (int sample = 0; sample < request.samples(); sample++) {
          open.add(sample);
        }
        for (int step = 0; !open.isEmpty(); step++) {
          for (Integer sample : List.copyOf(open)) {
            if (!advance(sample, step, text)) {
              open.remove(sample);
            }
          }
          if (tokenMillis > 0) {
            Thread.sleep(tokenMillis);
          }
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      } finally {
        finished = System.nanoTime();
        running.remove(this);
      }
    }

    private boolean advance(int sample, int step, int[] text) {
      if (abort || cancelled.contains(sample)) {
        events.add(new TokenEvent.Finished(sample, FinishReason.ABORT, null, null));
        return false;
      }
      if (step >= request.maxTokens()) {
        events.add(new TokenEvent.Finished(sample, FinishReason.LENGTH, null, null));
        return false;
      }
      int token = step < text.length ? text[step] : FakeTokenizer.END;
      boolean ends = token == FakeTokenizer.END && !request.ignoreEos();
      if (ends || request.stopTokens().contains(token)) {
        Integer stop = request.stopTokens().contains(token) ? token : null;
        String error = ending == FinishReason.ERROR ? "the logits hold NaN" : null;
        events.add(new TokenEvent.Finished(sample, ending, stop, error));
        return false;
      }
      if (first == 0) {
        first = System.nanoTime();
      }
      events.add(new TokenEvent.Token(sample, scored(token)));
      return true;
    }

    private Scored scored(int token) {
      int top = request.sampling().topLogprobs();
      if (top < 0) {
        return new Scored(token, Float.NaN, 0, new int[0], new float[0]);
      }
      int[] tokens = new int[top];
      float[] logprobs = new float[top];
      for (int i = 0; i < top; i++) {
        tokens[i] = (token + i) % 128;
        logprobs[i] = -0.5f - i;
      }
      return new Scored(token, -0.5f, 1, tokens, logprobs);
    }

    @Override
    public TokenEvent next(Duration timeout) throws InterruptedException {
      return events.poll(timeout.toNanos(), TimeUnit.NANOSECONDS);
    }

    @Override
    public void cancel() {
      abort = true;
    }

    @Override
    public void cancel(int sample) {
      cancelled.add(sample);
    }

    @Override
    public int cachedTokens() {
      return Math.min(3, request.prompt().length - 1);
    }

    @Override
    public Timing timing() {
      return new Timing(accepted, accepted, first, finished);
    }
  }
}
