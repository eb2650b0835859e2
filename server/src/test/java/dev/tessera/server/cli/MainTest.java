package dev.tessera.server.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/// The command line: exit codes, and one clear line for everything that goes wrong.
final class MainTest {
  @TempDir Path folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String... arguments) {
    CommandLine line = Main.commandLine();
    line.setOut(new PrintWriter(out, true));
    line.setErr(new PrintWriter(err, true));
    return line.execute(arguments);
  }

  private void assertFails(int code, String expected, String... arguments) {
    assertEquals(code, run(arguments), err.toString());
    assertTrue(err.toString().startsWith("tessera: "), err.toString());
    assertTrue(err.toString().contains(expected), err.toString());
    assertFalse(err.toString().contains("\tat "), "a stack trace: " + err);
  }

  @Test
  void everyCommandHasHelpWithItsFlags() {
    for (String command : List.of("serve", "chat", "run", "models", "bench", "eval")) {
      assertEquals(0, run(command, "--help"));
    }
    for (Option<?> option : Options.ALL) {
      assertTrue(out.toString().contains(option.flag()), option.flag());
    }
    assertEquals(0, run("--help"));
    assertEquals(0, run("--version"));
  }

  @Test
  void wrongUseIsTwo() {
    assertFails(2, "which command?");
    assertFails(2, "--prot", "serve", "--prot", "1");
    assertFails(2, "--port: must be from 0 to 65535", "serve", "--port", "99999");
    assertFails(2, "--kv-cache", "serve", "--kv-cache", "p9", "--port", "0");
  }

  @Test
  void aModelThatIsNotThereOrDamagedIsOneLineAndOne() throws IOException {
    assertFails(1, "no such file", "serve", "--port", "0", "--model", "/nowhere/model.gguf");
    Path damaged = Files.writeString(folder.resolve("damaged.gguf"), "GGUF and then nonsense");
    err.getBuffer().setLength(0);
    assertFails(1, "damaged.gguf", "serve", "--port", "0", "--model", damaged.toString());
    assertEquals(1, err.toString().strip().lines().count(), err.toString());
  }

  @Test
  void aPortInUseIsOneLineAndOne() throws IOException {
    try (var taken = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.1"))) {
      String port = Integer.toString(taken.getLocalPort());
      assertFails(1, "cannot listen on 127.0.0.1:" + port, "serve", "--port", port);
      assertTrue(err.toString().contains("(server.port)"), err.toString());
      err.getBuffer().setLength(0);
      assertFails(
          1,
          "cannot listen on 127.0.0.1:" + port,
          "serve",
          "--port",
          "0",
          "--management-port",
          port);
      assertTrue(err.toString().contains("(server.management-port)"), err.toString());
      assertEquals(1, err.toString().strip().lines().count(), err.toString());
    }
  }

  @Test
  void aBackendThatIsNotThereIsOneLineAndOne() {
    assertFails(1, "no-such-backend", "serve", "--port", "0", "--backend", "no-such-backend");
  }

  @Test
  void anInstructionSetThatIsNotThereIsNeverReplaced() {
    assertFails(2, "--isa: must be one of auto", "serve", "--port", "0", "--isa", "avx1024");
    // No backend but the native one has instruction sets.
    err.getBuffer().setLength(0);
    assertFails(2, "--isa", "run", "--backend", "vector", "--isa", "avx2", "hello");
  }

  @Test
  void whatCannotBeComparedIsWrongUse() {
    assertFails(2, "--policy: cache policy \"warm\"", "eval", "--policy", "warm");
    assertFails(2, "name the policy by age", "eval", "--policy", "temperature:small");
    err.getBuffer().setLength(0);
    assertFails(2, "--policy: cache policy \"auto:\"", "eval", "--policy", "auto:");
    err.getBuffer().setLength(0);
    assertFails(2, "--tokens must be at least 1280, is 64", "eval", "--tokens", "64");
    err.getBuffer().setLength(0);
    assertFails(2, "--seeds must be from 0 to 6, is 7", "eval", "--seeds", "7");
  }

  @Test
  void anAddressThatIsNoneIsWrongUse() {
    for (String url :
        List.of("nonsense", "localhost:8000", "ftp://localhost", "http://", "http://a b")) {
      err.getBuffer().setLength(0);
      assertFails(2, "--url", "run", "--url", url, "hello");
      err.getBuffer().setLength(0);
      assertFails(2, "--url", "bench", "--url", url);
    }
  }

  @Test
  void aServerThatIsNotThereOrNotOursIsOneLineAndOne() throws IOException {
    String closed;
    try (var socket = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.1"))) {
      closed = "http://127.0.0.1:" + socket.getLocalPort();
    }
    assertFails(1, "no server answers at " + closed, "run", "--url", closed, "hello");
    err.getBuffer().setLength(0);
    assertFails(1, "no server answers at " + closed, "bench", "--url", closed);

    String page = "<html>not here</html>";
    String answer =
        "HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
            .formatted(page.length(), page);
    try (var server = new ServerSocket(0, 8, InetAddress.getByName("127.0.0.1"))) {
      Thread.ofVirtual().start(() -> answerAlways(server, answer));
      String other = "http://127.0.0.1:" + server.getLocalPort();
      for (String command : List.of("run", "bench")) {
        err.getBuffer().setLength(0);
        List<String> arguments =
            command.equals("run")
                ? List.of(command, "--url", other + "/v1/", "hello")
                : List.of(command, "--url", other + "/v1/");
        assertFails(1, "not as an OpenAI-compatible server does", arguments.toArray(String[]::new));
        assertEquals(1, err.toString().strip().lines().count(), err.toString());
      }
    }
  }

  private static void answerAlways(ServerSocket server, String answer) {
    while (true) {
      try (Socket client = server.accept()) {
        client.getInputStream().read(new byte[4096]);
        client.getOutputStream().write(answer.getBytes(StandardCharsets.US_ASCII));
      } catch (IOException e) {
        return; // the test has closed it
      }
    }
  }

  @Test
  void aPromptThatIsEmptyIsWrongUse() {
    assertFails(2, "no prompt", "run", "");
  }

  @Test
  void textFromOutsideCannotForgeALogLine() {
    var formatter = new LogSetup.LineFormatter();
    var record = new LogRecord(Level.INFO, "model \n12:00:00 ERROR forged \u001b[31m \u202e");
    String line = formatter.format(record);
    assertEquals(1, line.lines().count());
    assertFalse(line.contains("\u001b"));
    assertFalse(line.contains("\u202e"));
  }
}
