package dev.tessera.server.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.InetAddress;
import java.net.ServerSocket;
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
    for (String command : List.of("serve", "chat", "run", "models", "bench")) {
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
    assertFails(2, "--kv-cache", "serve", "--kv-cache", "p4", "--port", "0");
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
    }
  }

  @Test
  void aBackendThatIsNotThereIsOneLineAndOne() {
    assertFails(1, "no-such-backend", "serve", "--port", "0", "--backend", "no-such-backend");
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
