package dev.tessera.server.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.tessera.server.http.HttpSettings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ConfigurationTest {
  private static final Path FILE = Path.of("..", "config", "application.yaml");

  @TempDir Path folder;

  private Path file(String text) throws IOException {
    return Files.writeString(folder.resolve("application.yaml"), text);
  }

  @Test
  void theFileDocumentsEveryKeyWithItsDefault() throws IOException {
    List<String> keys = new ArrayList<>();
    collect("", new YAMLMapper().readTree(Files.readString(FILE)), keys);
    assertEquals(Options.ALL.stream().map(Option::key).toList(), keys);
    Configuration file = Configuration.of(Map.of(), Map.of(), FILE);
    Configuration none = Configuration.of(Map.of(), Map.of(), null);
    for (Option<?> option : Options.ALL) {
      assertEquals(none.get(option), file.get(option), option.key());
    }
  }

  private static void collect(String path, JsonNode node, List<String> keys) {
    for (var entry : node.properties()) {
      String key = path.isEmpty() ? entry.getKey() : path + "." + entry.getKey();
      if (entry.getValue().isObject()) {
        collect(key, entry.getValue(), keys);
      } else {
        keys.add(key);
      }
    }
  }

  @Test
  void theFileNamesTheFlagOfEveryKeyThatHasOne() throws IOException {
    String text = Files.readString(FILE);
    for (Option<?> option : Options.ALL) {
      if (!option.flag().isEmpty()) {
        assertTrue(text.contains("Flag: " + option.flag() + "\n"), option.flag());
      }
    }
  }

  @Test
  void theDefaultsAreThoseOfTheRecords() {
    assertEquals(HttpSettings.DEFAULT, Settings.http(Configuration.of(Map.of(), Map.of(), null)));
  }

  @Test
  void aFlagWinsOverTheEnvironmentOverTheFileOverTheDefault() throws IOException {
    Path file = file("server: {port: 1, host: filehost}\nhttp: {body-seconds: 7}\n");
    Map<String, String> environment = Map.of("TESSERA_PORT", "2", "TESSERA_HTTP_BODY_SECONDS", "8");
    Map<String, String> flags = Map.of("--port", "3");
    assertEquals(3, Configuration.of(flags, environment, file).get(Options.PORT));
    assertEquals(2, Configuration.of(Map.of(), environment, file).get(Options.PORT));
    assertEquals(1, Configuration.of(Map.of(), Map.of(), file).get(Options.PORT));
    assertEquals(8000, Configuration.of(Map.of(), Map.of(), null).get(Options.PORT));
    assertEquals(8, Configuration.of(Map.of(), environment, file).get(Options.BODY_SECONDS));
    assertEquals("filehost", Configuration.of(flags, environment, file).get(Options.HOST));
  }

  @Test
  void theAddressOfAKubernetesServiceIsNoPort() throws IOException {
    Path file = file("server: {port: 1}\n");
    Map<String, String> links = Map.of("TESSERA_PORT", "tcp://10.0.0.1:8000");
    assertEquals(1, Configuration.of(Map.of(), links, file).get(Options.PORT));
    Map<String, String> wrong = Map.of("TESSERA_HOST", "tcp://10.0.0.1:8000");
    assertEquals("tcp://10.0.0.1:8000", Configuration.of(Map.of(), wrong, file).get(Options.HOST));
  }

  @Test
  void anUnknownKeyIsAnErrorThatNamesTheNearest() throws IOException {
    Path file = file("server:\n  prot: 1\n");
    var failure =
        assertThrows(CommandFailure.class, () -> Configuration.of(Map.of(), Map.of(), file));
    assertEquals(2, failure.exitCode());
    assertTrue(failure.getMessage().contains("server.prot"), failure.getMessage());
    assertTrue(failure.getMessage().contains("did you mean server.port?"), failure.getMessage());
  }

  @Test
  void aWrongValueNamesWhoSetItAndWhatIsExpected() throws IOException {
    var flag =
        assertThrows(
            CommandFailure.class,
            () -> Configuration.of(Map.of("--port", "70000"), Map.of(), null));
    assertEquals("--port: must be from 0 to 65535, is '70000'", flag.getMessage());
    var variable =
        assertThrows(
            CommandFailure.class,
            () -> Configuration.of(Map.of(), Map.of("TESSERA_THREADS", "many"), null));
    assertEquals("TESSERA_THREADS: must be an integer, is 'many'", variable.getMessage());
    Path file = file("kv-cache: {memory: lots}");
    var line = assertThrows(CommandFailure.class, () -> Configuration.of(Map.of(), Map.of(), file));
    assertTrue(line.getMessage().contains("kv-cache.memory in "), line.getMessage());
  }

  @Test
  void aFileThatIsNotYamlNamesTheLineAndOneThatIsAbsentSaysSo() throws IOException {
    Path broken = file("log:\n  level: info\nserver: [\n");
    var failure =
        assertThrows(CommandFailure.class, () -> Configuration.of(Map.of(), Map.of(), broken));
    assertEquals(2, failure.exitCode());
    assertTrue(
        failure.getMessage().contains("application.yaml, line 3: not YAML: expected"),
        failure.getMessage());
    assertFalse(failure.getMessage().contains("\\u000a"), failure.getMessage());
    var absent =
        assertThrows(
            CommandFailure.class,
            () -> Configuration.of(Map.of(), Map.of(), folder.resolve("none.yaml")));
    assertTrue(absent.getMessage().endsWith("none.yaml does not exist"), absent.getMessage());
  }

  @Test
  void aKeyIsSetByAFlagAVariableOrAnotherValueInTheFile() throws IOException {
    Path same = file("log: {level: info}");
    assertFalse(Configuration.of(Map.of(), Map.of(), same).isSet(Options.LOG_LEVEL));
    assertTrue(
        Configuration.of(Map.of("--log-level", "info"), Map.of(), same).isSet(Options.LOG_LEVEL));
    assertTrue(
        Configuration.of(Map.of(), Map.of("TESSERA_LOG_LEVEL", "info"), same)
            .isSet(Options.LOG_LEVEL));
    Path other = file("log: {level: debug}");
    assertTrue(Configuration.of(Map.of(), Map.of(), other).isSet(Options.LOG_LEVEL));
  }

  @Test
  void listsComeAsListsOrWithCommas() throws IOException {
    Path file = file("server:\n  api-keys: [one, two]\n");
    assertEquals(
        List.of("one", "two"), Configuration.of(Map.of(), Map.of(), file).get(Options.API_KEYS));
    assertEquals(
        List.of("a", "b"),
        Configuration.of(Map.of("--api-key", "a, b"), Map.of(), file).get(Options.API_KEYS));
  }

  @Test
  void sizesAreUnderstoodAsPeopleWriteThem() {
    assertEquals(0, ByteSize.parse("0"));
    assertEquals(512L << 20, ByteSize.parse("512M"));
    assertEquals(3L << 29, ByteSize.parse("1.5GiB"));
    assertEquals(1000, ByteSize.parse("1000 "));
    assertEquals(64L << 10, ByteSize.parse("64kb"));
    for (String text : List.of("", "G", "-1", "1e99G", "NaN", "five")) {
      assertThrows(IllegalArgumentException.class, () -> ByteSize.parse(text), text);
    }
    assertEquals("1.5 GiB", ByteSize.format(3L << 29));
  }

  @Test
  void theLimitsOfACgroupCount() throws IOException {
    long machine = 8L << 30;
    assertEquals(machine, MachineLimits.detect(folder, machine).memoryBytes());
    Files.writeString(folder.resolve("memory.max"), "max\n");
    assertEquals(machine, MachineLimits.detect(folder, machine).memoryBytes());
    Files.writeString(folder.resolve("memory.max"), (2L << 30) + "\n");
    assertEquals(2L << 30, MachineLimits.detect(folder, machine).memoryBytes());
    Files.delete(folder.resolve("memory.max"));
    Files.createDirectory(folder.resolve("memory"));
    Files.writeString(folder.resolve("memory").resolve("memory.limit_in_bytes"), "1073741824");
    assertEquals(1L << 30, MachineLimits.detect(folder, machine).memoryBytes());
  }

  @Test
  void theCacheLeavesRoomForTheWeights() {
    assertEquals(128L << 20, new MachineLimits(1, 1L << 30).defaultCacheBytes(1L << 30));
    long cache = new MachineLimits(1, 16L << 30).defaultCacheBytes(1L << 30);
    assertEquals((16L - 3) << 29, cache);
    assertFalse(cache > 16L << 30);
  }
}
