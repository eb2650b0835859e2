package dev.tessera.server.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.models.testing.ReferenceFiles;
import dev.tessera.server.engine.EngineStats;
import java.io.IOException;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The default model in memory that its streams do not fit into as they are.
final class TemperatureTest {
  private static final int STREAMS = 3;
  private static final int PROMPT = 420;
  private static final int ANSWER = 400;

  /// 112 MiB are 71 of scratch and about 40 for tiles, 1,700 exact tokens; three streams come to
  /// 2,460. All of them are admitted, with their prompts and a block.
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {"exact | true", "temperature:exact:first=64,last=256;k=p4;v=p4 | false"})
  void byTemperatureNoStreamLosesItsBlocks(String policy, boolean preempts)
      throws InterruptedException, ExecutionException {
    Map<String, String> flags =
        Map.of(
            "--model",
            ReferenceFiles.smolLm2().toString(),
            "--kv-memory",
            "112M",
            "--context",
            "1024",
            "--kv-cache",
            policy);
    try (LocalServer server = LocalServer.start(Configuration.of(flags, Map.of(), null));
        var threads = Executors.newFixedThreadPool(STREAMS)) {
      List<Future<String>> answers = new ArrayList<>();
      for (int stream = 0; stream < STREAMS; stream++) {
        int number = stream;
        answers.add(threads.submit(() -> answer(server, number)));
      }
      for (Future<String> answer : answers) {
        assertTrue(
            answer.get().contains("\"completion_tokens\":" + ANSWER),
            answer.get().substring(0, Math.min(2_000, answer.get().length())));
      }
      EngineStats stats = server.engine().engine().stats();
      assertEquals(preempts, stats.preemptions() > 0, stats.toString());
      assertEquals(preempts, stats.coolings() == 0, stats.toString());
    }
  }

  private static String answer(LocalServer server, int number) throws IOException {
    String prompt =
        IntStream.range(0, PROMPT)
            .mapToObj(i -> Integer.toString(1000 + (10_000 * number + 7 * i) % 40_000))
            .collect(Collectors.joining(",", "[", "]"));
    byte[] body =
        "{\"prompt\":%s,\"max_tokens\":%d,\"ignore_eos\":true,\"temperature\":0}"
            .formatted(prompt, ANSWER)
            .getBytes(StandardCharsets.UTF_8);
    URI url = URI.create(server.url());
    try (Socket socket = new Socket(url.getHost(), url.getPort())) {
      String head =
          "POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
              + "Connection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n";
      socket
          .getOutputStream()
          .write(head.formatted(server.key(), body.length).getBytes(StandardCharsets.US_ASCII));
      socket.getOutputStream().write(body);
      return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }
  }
}
