package dev.tessera.server.http;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.tessera.server.engine.TokenEvent;
import dev.tessera.server.http.Choice.Delta;
import io.helidon.webserver.CloseConnectionException;
import io.helidon.webserver.ServerConnectionException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Carries the events of a running request to its client, whole or as a stream. If the client
/// leaves, in whatever state the request is, the engine hears of it at once.
final class Responder {
  private final Duration keepAlive;
  private final Duration total;

  /// @param keepAlive silence after which a stream gets a comment
  /// @param total time that one request may take
  Responder(Duration keepAlive, Duration total) {
    this.keepAlive = keepAlive;
    this.total = total;
  }

  void respond(Exchange exchange, Answer answer) {
    try (GenerationRun run = answer.run()) {
      exchange.connection().onGone(run::cancel);
      if (answer.options().streaming().enabled()) {
        stream(exchange, answer);
      } else {
        exchange.sendJson(200, whole(exchange, answer));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CloseConnectionException("the server stops", e);
    } catch (IOException e) {
      throw new ServerConnectionException("the client has gone", new UncheckedIOException(e));
    } finally {
      exchange.connection().onGone(null);
    }
  }

  private byte[] whole(Exchange exchange, Answer answer) throws InterruptedException, IOException {
    List<StringBuilder> texts = new ArrayList<>();
    List<List<TokenEvent.Scored>> tokens = new ArrayList<>();
    for (int i = 0; i < answer.choices().size(); i++) {
      texts.add(new StringBuilder());
      tokens.add(new ArrayList<>());
    }
    long deadline = System.nanoTime() + total.toNanos();
    while (!answer.run().isFinished()) {
      GenerationRun.Event event = next(answer, deadline);
      if (event != null) {
        Delta delta = accept(exchange, answer, event);
        int index = answer.choice(event).index();
        texts.get(index).append(delta.text());
        tokens.get(index).addAll(delta.tokens());
      }
    }
    var bytes = new ByteArrayOutputStream();
    try (JsonGenerator json = JsonBody.MAPPER.createGenerator(bytes)) {
      json.writeStartObject();
      answer.writeHead(json, false);
      json.writeArrayFieldStart("choices");
      for (Choice choice : answer.choices()) {
        json.writeStartObject();
        json.writeNumberField("index", choice.index());
        Delta all = new Delta(texts.get(choice.index()).toString(), tokens.get(choice.index()));
        answer.format().writeWhole(json, choice, answer.prompt(choice), all);
        json.writeEndObject();
      }
      json.writeEndArray();
      answer.writeUsage(json);
      answer.writeTimings(json);
      json.writeEndObject();
    }
    return bytes.toByteArray();
  }

  private void stream(Exchange exchange, Answer answer) throws InterruptedException, IOException {
    try (OutputStream out = exchange.openEventStream()) {
      var events = new ServerSentEvents(out);
      try {
        streamTokens(exchange, answer, events);
      } catch (ApiException e) {
        // The status has been sent: the error can only be an event.
        exchange.failed(e.error());
        events.event(e.error().toJson());
      }
      events.done();
    }
  }

  private void streamTokens(Exchange exchange, Answer answer, ServerSentEvents events)
      throws InterruptedException, IOException {
    long deadline = System.nanoTime() + total.toNanos();
    while (!answer.run().isFinished()) {
      GenerationRun.Event event = next(answer, deadline);
      if (event == null) {
        events.keepAlive();
        continue;
      }
      while (event != null) {
        Choice choice = answer.choice(event);
        boolean wasOpen = !choice.isComplete();
        Delta delta = accept(exchange, answer, event);
        if (wasOpen && !(event.event() instanceof TokenEvent.PromptToken)) {
          write(answer, events, choice, delta);
        }
        event = answer.run().isFinished() ? null : answer.run().next(Duration.ZERO);
      }
      events.flush();
    }
    if (answer.options().streaming().usage()) {
      events.event(
          json -> {
            answer.writeHead(json, true);
            json.writeArrayFieldStart("choices");
            json.writeEndArray();
            answer.writeUsage(json);
            answer.writeTimings(json);
          });
    }
  }

  private static void write(Answer answer, ServerSentEvents events, Choice choice, Delta delta)
      throws IOException {
    ResponseFormat format = answer.format();
    PromptInfo prompt = answer.prompt(choice);
    if (choice.start() && format.hasOpening(prompt)) {
      chunk(answer, events, choice, json -> format.writeOpening(json, choice, prompt));
    }
    boolean reportsTokens = answer.options().wantsLogprobs() || answer.options().returnTokenIds();
    if (!delta.text().isEmpty() || (reportsTokens && !delta.tokens().isEmpty())) {
      chunk(answer, events, choice, json -> format.writeDelta(json, choice, delta));
    }
    if (choice.isComplete()) {
      chunk(answer, events, choice, json -> format.writeEnd(json, choice));
    }
  }

  /// One chunk has one choice.
  private static void chunk(
      Answer answer, ServerSentEvents events, Choice choice, ServerSentEvents.Body fields)
      throws IOException {
    events.event(
        json -> {
          answer.writeHead(json, true);
          json.writeArrayFieldStart("choices");
          json.writeStartObject();
          json.writeNumberField("index", choice.index());
          fields.write(json);
          json.writeEndObject();
          json.writeEndArray();
          if (answer.options().streaming().runningUsage()) {
            answer.writeUsage(json);
          } else if (answer.options().streaming().usage()) {
            json.writeNullField("usage");
          } else if (choice.isComplete() && answer.options().samples() == 1) {
            answer.writeTimings(json);
          }
        });
  }

  private GenerationRun.@Nullable Event next(Answer answer, long deadline)
      throws InterruptedException {
    GenerationRun.Event event = answer.run().next(keepAlive);
    if (event == null && System.nanoTime() - deadline > 0) {
      throw new ApiError(
              503,
              "unavailable_error",
              "the request took longer than %d s (http.request-seconds)"
                  .formatted(total.toSeconds()))
          .asException();
    }
    return event;
  }

  /// An abort after the client left is nobody's error.
  private static Delta accept(Exchange exchange, Answer answer, GenerationRun.Event event) {
    try {
      return answer.accept(event);
    } catch (ApiException e) {
      if (exchange.connection().isGone()) {
        throw new CloseConnectionException("the client has gone");
      }
      throw e;
    }
  }
}
