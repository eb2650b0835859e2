package dev.tessera.server.engine;

import java.time.Duration;
import org.jspecify.annotations.Nullable;

/// Counts the requests that are in the house, and says when it is full. Safe for many threads.
final class AdmissionGate {
  private final int maxQueuedRequests;
  private final long maxQueuedPromptTokens;
  private int waitingRequests; // accepted, and never scheduled
  private long waitingPromptTokens;
  private int liveRequests;
  private long rejected;
  private boolean draining;
  private @Nullable String failure;

  AdmissionGate(int maxQueuedRequests, long maxQueuedPromptTokens) {
    this.maxQueuedRequests = maxQueuedRequests;
    this.maxQueuedPromptTokens = maxQueuedPromptTokens;
  }

  /// Lets a request in, or says why not. A prompt beyond the cap on waiting tokens is let in where
  /// nothing else waits: else it never would be.
  synchronized @Nullable Admission enter(GenerationRequest request) {
    Admission refusal = refusal(request.prompt().length);
    if (refusal != null) {
      rejected++;
      return refusal;
    }
    waitingRequests++;
    waitingPromptTokens += request.prompt().length;
    liveRequests++;
    return null;
  }

  private @Nullable Admission refusal(int promptTokens) {
    if (failure != null) {
      return new Admission.Failed(failure);
    }
    if (draining) {
      return new Admission.Draining();
    }
    if (waitingRequests >= maxQueuedRequests) {
      return new Admission.QueueFull(waitingRequests, maxQueuedRequests);
    }
    if (waitingRequests > 0 && waitingPromptTokens + promptTokens > maxQueuedPromptTokens) {
      return new Admission.PromptBacklog(waitingPromptTokens, maxQueuedPromptTokens);
    }
    return null;
  }

  /// Counts a refusal that was decided elsewhere.
  synchronized Admission reject(Admission refusal) {
    rejected++;
    return refusal;
  }

  /// A request has its first step, or has ended without one.
  synchronized void leaveQueue(GenerationRequest request) {
    waitingRequests--;
    waitingPromptTokens -= request.prompt().length;
  }

  /// All samples of a request have ended.
  synchronized void leave() {
    liveRequests--;
    if (liveRequests == 0) {
      notifyAll();
    }
  }

  synchronized void drain() {
    draining = true;
  }

  synchronized void fail(String reason) {
    failure = reason;
    notifyAll();
  }

  synchronized @Nullable String failure() {
    return failure;
  }

  synchronized int liveRequests() {
    return liveRequests;
  }

  synchronized long rejected() {
    return rejected;
  }

  /// Waits until no request is in the house; false if some still is after `limit`, or if the engine
  /// has failed.
  synchronized boolean awaitEmpty(Duration limit) throws InterruptedException {
    long deadline = System.nanoTime() + limit.toNanos();
    while (failure == null && liveRequests > 0) {
      long millis = (deadline - System.nanoTime() + 999_999) / 1_000_000;
      if (millis <= 0) {
        return false;
      }
      wait(millis);
    }
    return failure == null;
  }
}
