package dev.tessera.server.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.models.testing.ReferenceFiles;
import dev.tessera.server.engine.EngineStats;
import java.io.IOException;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The server as `./tessera serve` starts it, with the default model: what fakes cannot show.
@SuppressWarnings("try")
final class RealModelTest {
  private static final int LONG_PROMPT = 7000;
  private static final int LONG_ANSWER = 1000;

  private static LocalServer server;

  @BeforeAll
  static void start() throws InterruptedException {
    Map<String, String> flags =
        Map.of("--model", ReferenceFiles.smolLm2().toString(), "--kv-memory", "512M");
    server = LocalServer.start(Configuration.of(flags, Map.of(), null));
  }

  @AfterAll
  static void stop() {
    if (server != null) {
      server.close();
    }
  }

  private static EngineStats stats() {
    return server.engine().engine().stats();
  }

  private static void await(String what, Predicate<EngineStats> condition) {
    long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    while (!condition.test(stats())) {
      assertTrue(System.nanoTime() < deadline, "never happened: " + what + "; " + stats());
      try {
        Thread.sleep(2);
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
    }
  }

  private static Socket send(String body) throws IOException {
    URI url = URI.create(server.url());
    Socket socket = new Socket(url.getHost(), url.getPort());
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    String head =
        "POST /v1/completions HTTP/1.1\r\n"
            + "Host: x\r\n"
            + "Authorization: Bearer %s\r\n"
            + "Connection: close\r\n"
            + "Content-Type: application/json\r\n"
            + "Content-Length: %d\r\n\r\n";
    socket
        .getOutputStream()
        .write(head.formatted(server.key(), bytes.length).getBytes(StandardCharsets.US_ASCII));
    socket.getOutputStream().write(bytes);
    return socket;
  }

  /// Each prompt another one: what the cache holds of the last would be found.
  private static String request(int first, int promptTokens, boolean stream) {
    String prompt =
        IntStream.range(0, promptTokens)
            .mapToObj(i -> Integer.toString(1000 + (first + 7 * i) % 40_000))
            .collect(Collectors.joining(",", "[", "]"));
    return "{\"prompt\":%s,\"max_tokens\":%d,\"ignore_eos\":true,\"temperature\":0,\"stream\":%s}"
        .formatted(prompt, LONG_ANSWER, stream);
  }

  @ParameterizedTest(name = "in a prefill, stream={0}")
  @CsvSource({"false", "true"})
  void aClientThatLeavesDuringAPrefillFreesItsBlocks(boolean stream) throws IOException {
    long generated = stats().generatedTokens();
    try (Socket socket = send(request(stream ? 1 : 2, LONG_PROMPT, stream))) {
      await("the prefill has begun", s -> s.running() == 1 && s.usedBlocks() > 0);
    }
    await("every block is free", s -> s.running() == 0 && s.usedBlocks() == 0);
    assertEquals(generated, stats().generatedTokens(), "it had come to its end");
  }

  @ParameterizedTest(name = "in an answer, stream={0}")
  @CsvSource({"false", "true"})
  void aClientThatLeavesDuringAnAnswerFreesItsBlocks(boolean stream) throws IOException {
    long generated = stats().generatedTokens();
    try (Socket socket = send(request(stream ? 3 : 4, 20, stream))) {
      await("the answer has begun", s -> s.generatedTokens() > generated);
    }
    await("every block is free", s -> s.running() == 0 && s.usedBlocks() == 0);
    assertTrue(stats().generatedTokens() < generated + LONG_ANSWER, "it had come to its end");
  }

  @Test
  void answersWithSense() throws IOException {
    String prompt = "{\"prompt\":\"The capital of France is\",\"max_tokens\":4,\"temperature\":0}";
    try (Socket socket = send(prompt)) {
      String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertTrue(answer.startsWith("HTTP/1.1 200 ") && answer.contains("\" Paris"), answer);
    }
  }

  /// The native backend has packed the weights; the file's mapping is closed.
  @Test
  void theBudgetOfTheCacheCountsScratchAndTables() {
    var memory = server.engine().engine().memory();
    assertEquals(
        server.engine().cacheBytes(),
        memory.scratchBytes() + memory.codeBytes() + memory.tableBytes() + memory.tileBytes());
    assertTrue(memory.weightBytes() > 0 && memory.scratchBytes() > 0, memory.toString());
    assertEquals(memory.tileBytes(), stats().budgetBytes());
  }
}
