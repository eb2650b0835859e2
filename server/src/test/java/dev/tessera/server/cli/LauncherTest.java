package dev.tessera.server.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The script `tessera` on machines that lack something, with stand-ins for Java, Maven and the C
/// compiler.
class LauncherTest {
  private static final List<String> BASICS =
      List.of(
          "sh",
          "sed",
          "find",
          "grep",
          "head",
          "dirname",
          "readlink",
          "id",
          "uname",
          "cat",
          "mkdir");

  @TempDir Path directory;
  private Path home;
  private Path commands;
  private Path jdk;

  private record Outcome(int status, String output) {}

  @BeforeEach
  void makeAMachine() throws IOException {
    home = Files.createDirectories(directory.resolve("home"));
    Files.createDirectories(home.resolve("room/src/main"));
    Files.writeString(home.resolve("pom.xml"), "");
    Files.writeString(home.resolve("room/pom.xml"), "");
    commands = Files.createDirectories(directory.resolve("bin"));
    for (String name : BASICS) {
      Files.createSymbolicLink(commands.resolve(name), find(name));
    }
    jdk = directory.resolve("an odd folder/jdk");
    script(jdk.resolve("bin/java"), "echo \"java $*\"");
    script(jdk.resolve("bin/javac"), "");
    Files.writeString(jdk.resolve("release"), "JAVA_VERSION=\"25.0.3\"\n");
  }

  private static Path find(String command) throws IOException {
    for (String folder : System.getenv("PATH").split(":")) {
      Path path = Path.of(folder, command);
      if (Files.isExecutable(path)) {
        return path;
      }
    }
    throw new IOException("no command " + command);
  }

  private static void script(Path path, String body) throws IOException {
    Files.createDirectories(path.getParent());
    Files.writeString(path, "#!/bin/sh\n" + body + "\n");
    Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rwx------"));
  }

  private Outcome launch(String... arguments) throws Exception {
    var command = new java.util.ArrayList<>(List.of("/bin/sh", "../tessera"));
    command.addAll(List.of(arguments));
    var builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().clear();
    builder.environment().put("PATH", commands.toString());
    builder.environment().put("HOME", directory.toString());
    builder.environment().put("TESSERA_HOME", home.toString());
    builder.environment().put("JAVA_HOME", jdk.toString());
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes());
    return new Outcome(process.waitFor(), output);
  }

  /// Maven that "builds": it counts its builds.
  private void installMaven(String version) throws IOException {
    script(
        commands.resolve("mvn"),
        """
        [ "$1" = -v ] && { echo "Apache Maven %s (0)"; exit 0; }
        mkdir -p server/target/dist/lib; echo built >>builds\
        """
            .formatted(version));
  }

  private long builds() throws IOException {
    Path file = home.resolve("builds");
    return Files.exists(file) ? Files.readAllLines(file).size() : 0;
  }

  @Test
  void runsAnInstalledServerWithTheJavaOfJavaHome() throws Exception {
    Files.createDirectories(home.resolve("lib"));
    Files.delete(jdk.resolve("bin/javac")); // a runtime will do
    Outcome outcome = launch("serve", "--port", "1");
    assertEquals(0, outcome.status, outcome.output);
    assertTrue(outcome.output.startsWith("java "), outcome.output);
    assertTrue(
        outcome.output.strip().endsWith("dev.tessera.server.cli.Main serve --port 1"),
        outcome.output);
  }

  @Test
  void namesMissingMavenAndHowToInstallIt() throws Exception {
    Outcome outcome = launch("serve");
    assertEquals(1, outcome.status, outcome.output);
    assertTrue(outcome.output.contains("Maven 3.8 or newer is needed to build"), outcome.output);
    assertTrue(outcome.output.contains("Install it with: "), outcome.output);
  }

  @Test
  void refusesAnOldMaven() throws Exception {
    installMaven("3.6.3");
    Outcome outcome = launch("serve");
    assertEquals(1, outcome.status, outcome.output);
    assertTrue(outcome.output.contains("Maven 3.8 or newer is needed; found 3.6.3"));
  }

  @Test
  void buildsOnceUntilASourceChanges() throws Exception {
    installMaven("3.9.9");
    assertEquals(0, launch("models").status);
    assertEquals(0, launch("models").status);
    assertEquals(1, builds());
    Path source = Files.writeString(home.resolve("room/src/main/A.java"), "");
    Path stamp = home.resolve("server/target/dist/.built");
    Files.setLastModifiedTime(
        source,
        java.nio.file.attribute.FileTime.fromMillis(
            Files.getLastModifiedTime(stamp).toMillis() + 1000));
    launch("models");
    assertEquals(2, builds());
  }

  @Test
  void buildsAgainOnceThereIsACompilerAndMake() throws Exception {
    installMaven("3.9.9");
    String first = launch("models").output;
    assertTrue(first.contains("no C compiler with make found"), first);
    script(commands.resolve("gcc"), "exit 0");
    launch("models");
    assertEquals(1, builds(), "a compiler without make is none");
    script(commands.resolve("make"), "");
    launch("models");
    launch("models");
    assertEquals(2, builds());
  }

  @Test
  void endsWithTheBuildsErrors() throws Exception {
    installMaven("3.9.9");
    script(
        commands.resolve("mvn"),
        "[ \"$1\" = -v ] && { echo 'Apache Maven 3.9.9'; exit 0; }; echo '[ERROR] a reason'; exit"
            + " 1");
    Outcome outcome = launch("serve");
    assertEquals(1, outcome.status);
    assertTrue(outcome.output.contains("[ERROR] a reason"), outcome.output);
    assertTrue(outcome.output.contains("the whole log is "), outcome.output);
  }

  @Test
  void addsTheIncubatingVectorModuleOnlyWhereItIsNeeded() throws Exception {
    Path lib = Files.createDirectories(home.resolve("lib"));
    String module = "--add-modules jdk.incubator.vector";
    Path jar = Files.writeString(lib.resolve("kernels-1.jar"), "PK cpu/Isa.class PK");
    assertTrue(launch("serve").output.contains(module), "no native library is in the jar");

    String system = System.getProperty("os.name").startsWith("Mac") ? "darwin" : "linux";
    Process uname = new ProcessBuilder("uname", "-m").start();
    String machine = new String(uname.getInputStream().readAllBytes()).strip();
    Files.writeString(jar, "PK cpu/libtessera-%s-%s.so PK".formatted(system, machine));
    for (String[] arguments :
        new String[][] {{"serve"}, {"run", "a vector"}, {"serve", "--backend", "cpu-native"}}) {
      String output = launch(arguments).output;
      assertTrue(output.startsWith("java ") && !output.contains(module), output);
    }
    assertTrue(launch("serve", "--backend", "vector").output.contains(module));
    assertTrue(launch("serve", "--backend=vector").output.contains(module));
    Path file = directory.resolve("vector.yaml");
    Files.writeString(file, "backend:\n  # a comment\n  name: \"vector\"\nlog:\n  level: info\n");
    assertTrue(launch("serve", "--config", file.toString()).output.contains(module));
    assertTrue(
        !launch("serve", "--config", file.toString(), "--backend", "auto").output.contains(module));
  }
}
