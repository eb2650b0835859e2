package dev.tessera.server.engine;

import dev.tessera.kvcache.CachePicture;
import dev.tessera.kvcache.HashChain;
import dev.tessera.kvcache.KvCache;
import dev.tessera.kvcache.Tier;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/// The one thread that owns the model, the cache and every sequence.
///
/// Two queues separate it from the rest: requests and cancels come in through the inbox, tokens go
/// out through each request's own queue. Between two steps it empties the inbox; without work it
/// sleeps. Whatever a step throws is a bug or a broken device: then every reader is told, nothing
/// is accepted any more, and the process is expected to end.
public final class Engine implements TokenEngine, AutoCloseable {
  private static final System.Logger LOG = System.getLogger(Engine.class.getName());

  /// For what memory holds to reach a tier that outlasts this process.
  private static final Duration KEEPING = Duration.ofSeconds(5);

  /// What other threads want of the engine's.
  private sealed interface Command {
    record Submit(LiveRequest request) implements Command {}

    record End(LiveRequest request, int sample, FinishReason reason) implements Command {}

    record CancelAll() implements Command {}

    record Picture(CompletableFuture<CachePicture> picture) implements Command {}
  }

  /// What the engine needs to know of a model.
  ///
  /// @param endTokens tokens that end a generation
  record ModelFacts(int vocabulary, int groups, Set<Integer> endTokens) {}

  private final EngineConfig config;
  private final ModelFacts model;
  private final int contextTokens;
  private final MemoryPlan memory;
  private final KvCache cache;
  private final ModelRunner runner;
  private final @Nullable Tier tier;
  private final AdmissionGate gate;
  private final EngineCore core;
  private final EngineListener listener;
  private final Queue<Command> inbox = new ConcurrentLinkedQueue<>();
  private final AtomicLong arrivals = new AtomicLong();
  private final Thread thread;
  private volatile EngineStats stats;
  private volatile boolean asleep;
  private volatile boolean busy;
  private volatile boolean closing;
  private volatile long lastProgress = System.nanoTime();

  /// For tests, whose models take no memory worth a plan.
  Engine(
      EngineConfig config,
      ModelFacts model,
      KvCache cache,
      ModelRunner runner,
      EngineListener listener) {
    this(
        config,
        model,
        cache,
        runner,
        null,
        new MemoryPlan(0, 0, 0, 0, config.kvBudgetBytes()),
        listener);
  }

  /// @param tier below the cache, which is closed with the engine; null for none
  Engine(
      EngineConfig config,
      ModelFacts model,
      KvCache cache,
      ModelRunner runner,
      @Nullable Tier tier,
      MemoryPlan memory,
      EngineListener listener) {
    this.config = config;
    this.tier = tier;
    this.memory = memory;
    this.model = model;
    this.cache = cache;
    this.runner = runner;
    this.listener = listener;
    this.contextTokens = cache.capacityTokens(config.contextTokens());
    if (contextTokens < config.contextTokens()) {
      LOG.log(
          Level.WARNING,
          "the context is {0} tokens, not {1}: more do not fit into {2} MiB of KV-cache"
              + " (kv-cache.memory)",
          contextTokens,
          config.contextTokens(),
          config.kvBudgetBytes() >> 20);
    }
    this.gate = new AdmissionGate(config.maxQueuedRequests(), config.maxQueuedPromptTokens());
    this.core =
        new EngineCore(
            config,
            model.groups(),
            cache,
            runner,
            model.endTokens(),
            gate,
            listener,
            System::nanoTime);
    this.stats = core.stats();
    this.thread = Thread.ofPlatform().name("tessera-engine").daemon().unstarted(this::run);
  }

  void start() {
    thread.start();
  }

  /// What the engine's memory is for.
  public MemoryPlan memory() {
    return memory;
  }

  /// The policy of the cache, as it is written.
  public String policy() {
    return config.policy().text();
  }

  /// Tokens that the cache holds altogether.
  public int cacheTokens() {
    return cache.capacityTokens(Integer.MAX_VALUE);
  }

  @Override
  public int contextTokens() {
    return contextTokens;
  }

  @Override
  public EngineStats stats() {
    return stats;
  }

  @Override
  public @Nullable CachePicture picture(Duration limit) throws InterruptedException {
    CompletableFuture<CachePicture> picture = new CompletableFuture<>();
    post(new Command.Picture(picture));
    try {
      return picture.get(limit.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException | ExecutionException e) {
      return null;
    }
  }

  @Override
  public Admission submit(GenerationRequest request) {
    requireTokens("prompt", request.prompt());
    requireTokens("logit_bias", request.sampling().biasTokens());
    requireTokens(
        "stop_token_ids", request.stopTokens().stream().mapToInt(Integer::intValue).toArray());
    int promptTokens = request.prompt().length;
    long total = (long) promptTokens + request.maxTokens();
    if (total > config.contextTokens()) {
      return gate.reject(
          new Admission.TooLong(promptTokens, request.maxTokens(), config.contextTokens()));
    }
    if (total > contextTokens) {
      return gate.reject(new Admission.NeverFits(promptTokens, request.maxTokens(), contextTokens));
    }
    Admission refusal = gate.enter(request);
    return refusal != null ? refusal : accept(request);
  }

  private Admission accept(GenerationRequest request) {
    Long wanted = request.sampling().seed();
    long seed = wanted != null ? wanted : ThreadLocalRandom.current().nextLong();
    HashChain chain = new HashChain(cache.root(request.cacheSalt()));
    chain.extend(request.prompt(), request.prompt().length);
    LiveRequest[] self = new LiveRequest[1];
    TokenQueue queue =
        new TokenQueue(
            request.samples(),
            config.maxQueuedEvents(),
            System.nanoTime(),
            (sample, reason) -> post(new Command.End(self[0], sample, reason)));
    self[0] = new LiveRequest(request, queue, arrivals.incrementAndGet(), seed, chain);
    post(new Command.Submit(self[0]));
    String failure = gate.failure();
    if (failure != null) {
      failInbox(failure);
    }
    return new Admission.Accepted(queue);
  }

  private void requireTokens(String field, int[] tokens) {
    for (int token : tokens) {
      if (token < 0 || token >= model.vocabulary()) {
        throw new IllegalArgumentException(
            "%s holds token %d; the model has tokens 0 to %d"
                .formatted(field, token, model.vocabulary() - 1));
      }
    }
  }

  private void post(Command command) {
    inbox.add(command);
    if (asleep) {
      LockSupport.unpark(thread);
    }
  }

  private void run() {
    try {
      while (!closing || !core.isIdle() || !inbox.isEmpty()) {
        if (drainInbox()) {
          stats = core.stats(); // a step is long: who has left is seen to have left before it
        }
        busy = !core.isIdle();
        boolean worked = core.step();
        lastProgress = System.nanoTime();
        stats = core.stats();
        if (!worked) {
          sleep();
        }
      }
      keep();
    } catch (Throwable cause) {
      fail(cause);
    } finally {
      runner.close();
      if (tier != null) {
        tier.close();
      }
    }
  }

  /// Leaves what memory holds of prompts to the next process, if there is a directory for it.
  private void keep() throws InterruptedException {
    if (tier != null && tier.isLasting()) {
      int ignored = core.lower(KEEPING);
    }
  }

  /// Does what other threads want. False if they wanted nothing.
  private boolean drainInbox() {
    boolean found = false;
    for (Command command = inbox.poll(); command != null; command = inbox.poll()) {
      found = true;
      switch (command) {
        case Command.Submit(LiveRequest request) -> core.add(request);
        case Command.End(LiveRequest request, int sample, FinishReason reason) ->
            core.end(request, sample, reason);
        case Command.CancelAll() -> core.cancelAll();
        case Command.Picture(CompletableFuture<CachePicture> picture) ->
            picture.complete(core.picture());
      }
    }
    return found;
  }

  private void sleep() {
    busy = false;
    core.rest();
    asleep = true;
    while (inbox.isEmpty() && !closing) {
      LockSupport.park(this);
    }
    asleep = false;
  }

  private void fail(Throwable cause) {
    LOG.log(Level.ERROR, "the engine has failed", cause);
    String reason = "the engine has failed: " + cause;
    gate.fail(reason);
    core.fail(reason);
    failInbox(reason);
    listener.onFailure(cause);
  }

  /// Tells the readers of requests that the engine will not see any more.
  private void failInbox(String reason) {
    for (Command command = inbox.poll(); command != null; command = inbox.poll()) {
      if (command instanceof Command.Submit(LiveRequest request)) {
        request.queue.endAll(FinishReason.ERROR, reason);
      }
    }
  }

  @Override
  public boolean drain(Duration limit) throws InterruptedException {
    gate.drain();
    if (gate.awaitEmpty(limit)) {
      return true;
    }
    post(new Command.CancelAll());
    gate.awaitEmpty(Duration.ofMillis(config.stallMillis()));
    return false;
  }

  @Override
  public boolean isAlive() {
    boolean stalls = busy && System.nanoTime() - lastProgress > config.stallMillis() * 1_000_000L;
    return thread.isAlive() && gate.failure() == null && !stalls;
  }

  /// Cancels what runs, ends the engine's thread and lets go of the decoder.
  @Override
  public void close() {
    gate.drain();
    post(new Command.CancelAll());
    closing = true;
    LockSupport.unpark(thread);
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
