package dev.tessera.server.http;

import dev.tessera.server.engine.Admission;
import dev.tessera.server.engine.Generation;
import dev.tessera.server.engine.GenerationRequest;
import dev.tessera.server.engine.TokenEngine;
import dev.tessera.server.engine.TokenEvent;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// One HTTP request under way in the engine: a generation per prompt, read as one sequence of
/// events. Closing it cancels whatever still runs.
final class GenerationRun implements AutoCloseable {
  private static final Duration POLL = Duration.ofSeconds(1);
  private static final int QUEUED_EVENTS = 256;

  private final List<Generation> generations;
  private final int samples;
  private final List<Thread> readers = new ArrayList<>();
  private final @Nullable BlockingQueue<Event> merged;
  private int unfinished;

  /// An event of the generation of prompt `prompt`.
  record Event(int prompt, TokenEvent event) {}

  private GenerationRun(List<Generation> generations, int samples) {
    this.generations = List.copyOf(generations);
    this.samples = samples;
    this.unfinished = generations.size() * samples;
    if (generations.size() == 1) {
      merged = null;
      return;
    }
    // Read all at once: the engine drops a generation that nobody reads.
    var queue = new ArrayBlockingQueue<Event>(QUEUED_EVENTS);
    merged = queue;
    for (int i = 0; i < generations.size(); i++) {
      int prompt = i;
      readers.add(Thread.ofVirtual().start(() -> forward(prompt, queue)));
    }
  }

  /// Submits one request per prompt, all or none.
  ///
  /// @throws ApiException if the engine refuses one
  static GenerationRun submit(TokenEngine engine, List<GenerationRequest> requests) {
    List<Generation> accepted = new ArrayList<>(requests.size());
    for (GenerationRequest request : requests) {
      Admission admission = engine.submit(request);
      if (admission instanceof Admission.Accepted(Generation generation)) {
        accepted.add(generation);
      } else {
        accepted.forEach(Generation::cancel);
        throw java.util.Objects.requireNonNull(ApiError.of(admission)).asException();
      }
    }
    return new GenerationRun(accepted, requests.getFirst().samples());
  }

  private void forward(int prompt, BlockingQueue<Event> queue) {
    Generation generation = generations.get(prompt);
    int open = samples;
    try {
      while (open > 0) {
        TokenEvent event = generation.next(POLL);
        if (event != null) {
          queue.put(new Event(prompt, event));
          if (event instanceof TokenEvent.Finished) {
            open--;
          }
        }
      }
    } catch (InterruptedException e) {
      generation.cancel();
    }
  }

  /// The next event, or null if none came in time.
  @Nullable Event next(Duration timeout) throws InterruptedException {
    Event event;
    if (merged != null) {
      event = merged.poll(timeout.toNanos(), TimeUnit.NANOSECONDS);
    } else {
      TokenEvent single = generations.getFirst().next(timeout);
      event = single == null ? null : new Event(0, single);
    }
    if (event != null && event.event() instanceof TokenEvent.Finished) {
      unfinished--;
    }
    return event;
  }

  /// Whether every sample has had its last event.
  boolean isFinished() {
    return unfinished == 0;
  }

  void cancel() {
    generations.forEach(Generation::cancel);
  }

  /// Ends one sample, whose text is complete.
  void stop(int prompt, int sample) {
    generations.get(prompt).stop(sample);
  }

  Generation generation(int prompt) {
    return generations.get(prompt);
  }

  /// Prompt tokens that were found in the cache, over all prompts.
  int cachedTokens() {
    int total = 0;
    for (Generation generation : generations) {
      total += Math.max(0, generation.cachedTokens());
    }
    return total;
  }

  @Override
  public void close() {
    if (!isFinished()) {
      cancel();
    }
    readers.forEach(Thread::interrupt);
  }
}
