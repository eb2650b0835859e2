package dev.tessera.server.http;

import dev.tessera.server.engine.FinishReason;
import dev.tessera.server.engine.TokenEvent.Finished;
import dev.tessera.server.engine.TokenEvent.Scored;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// One choice of an answer while it grows: a sample of a prompt.
final class Choice {
  private final int index;
  private final int prompt;
  private final int sample;
  private final TextAssembler text;
  private int tokenCount;
  private boolean started;
  private @Nullable FinishReason reason;
  private @Nullable Integer stopToken;
  private @Nullable String error;

  /// What one event adds: text that is certain, and the tokens it is made of.
  ///
  /// @param tokens may be there without text (an unfinished character, a text held back) and the
  ///   other way round
  record Delta(String text, List<Scored> tokens) {
    static final Delta NONE = new Delta("", List.of());

    Delta plus(Delta next) {
      List<Scored> all = new ArrayList<>(tokens);
      all.addAll(next.tokens);
      return new Delta(text + next.text, all);
    }
  }

  Choice(int index, int prompt, int sample, TextAssembler text) {
    this.index = index;
    this.prompt = prompt;
    this.sample = sample;
    this.text = text;
  }

  int index() {
    return index;
  }

  int prompt() {
    return prompt;
  }

  int sample() {
    return sample;
  }

  int tokenCount() {
    return tokenCount;
  }

  /// Whether this is the first call.
  boolean start() {
    boolean first = !started;
    started = true;
    return first;
  }

  /// Takes a token. One that comes after a stop string, before the engine has heard of it, does not
  /// count.
  Delta token(Scored token) {
    if (isComplete()) {
      return Delta.NONE;
    }
    tokenCount++;
    Delta delta = new Delta(text.append(token.id()), List.of(token));
    if (text.stopString() != null) {
      reason = FinishReason.STOP;
    }
    return delta;
  }

  /// Takes the engine's last word; returns the text that was held back.
  Delta finished(Finished finished) {
    if (isComplete()) {
      return Delta.NONE;
    }
    reason = finished.reason();
    stopToken = finished.stopToken();
    error = finished.error();
    Delta rest = new Delta(text.finish(), List.of());
    if (text.stopString() != null) {
      reason = FinishReason.STOP;
      stopToken = null;
    }
    return rest;
  }

  /// Whether nothing can be added any more.
  boolean isComplete() {
    return reason != null;
  }

  @Nullable FinishReason reason() {
    return reason;
  }

  @Nullable String error() {
    return error;
  }

  /// `finish_reason`, of OpenAI's words only.
  String finishReason() {
    return reason == FinishReason.LENGTH ? "length" : "stop";
  }

  /// The text that stopped it, or null.
  @Nullable String stopString() {
    return text.stopString();
  }

  /// The token of the request that stopped it, or null.
  @Nullable Integer stopToken() {
    return stopToken;
  }
}
