package dev.tessera.server.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/// OpenAI's own client for Python, unchanged, out of a virtual environment that is made once.
final class OpenAiPythonTest {
  private static final String VERSION = "openai==3.54.0";
  private static final Path HOME = Path.of("target", "python", "openai");

  @Test
  void theOfficialClientWorks() throws IOException, InterruptedException {
    Path python = environment();
    try (var server =
        new TestServer(
            d -> TestServer.with(d, Map.of("apiKeys", List.of("key"), "corsOrigins", List.of())))) {
      String output =
          run(
              python.toString(),
              Path.of("src", "test", "python", "openai_client.py").toString(),
              server.url("/v1"));
      assertTrue(output.endsWith("all checks passed\n"), output);
    }
  }

  private static Path environment() throws IOException, InterruptedException {
    Path python = HOME.resolve("bin").resolve("python");
    Path done = HOME.resolve(VERSION);
    if (!Files.exists(done)) {
      run("python3", "-m", "venv", HOME.toString());
      run(
          python.toString(),
          "-m",
          "pip",
          "install",
          "--quiet",
          "--disable-pip-version-check",
          VERSION);
      Files.writeString(done, "");
    }
    return python;
  }

  private static String run(String... command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(process.waitFor(5, TimeUnit.MINUTES), () -> String.join(" ", command));
    assertEquals(0, process.exitValue(), () -> String.join(" ", command) + "\n" + output);
    return output;
  }
}
