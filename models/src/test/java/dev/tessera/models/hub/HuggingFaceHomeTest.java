package dev.tessera.models.hub;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HuggingFaceHomeTest {
  private static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";

  @TempDir Path directory;
  private final Map<String, String> environment = new HashMap<>();
  private Path snapshot;

  @BeforeEach
  void makeACache() throws IOException {
    environment.put("HF_HOME", directory.toString());
    Path repository = directory.resolve("hub/models--org--repo");
    Files.createDirectories(repository.resolve("refs"));
    Files.writeString(repository.resolve("refs/main"), COMMIT);
    snapshot = Files.createDirectories(repository.resolve("snapshots/" + COMMIT));
  }

  private HuggingFaceHome home() {
    return new HuggingFaceHome(environment);
  }

  /// As the cache has it: the bytes under their checksum, and a link under the file's name.
  private void hold(String... names) throws IOException {
    Path blobs = Files.createDirectories(snapshot.resolve("../../blobs").normalize());
    for (String name : names) {
      Path blob = Files.writeString(blobs.resolve("blob-of-" + name), "bytes");
      Files.createSymbolicLink(snapshot.resolve(name), snapshot.relativize(blob));
    }
  }

  @Test
  void findsAGgufFile() throws IOException {
    hold("tiny.Q8_0.gguf", "tiny.Q4_K_M.gguf", "README.md");
    assertEquals(snapshot.resolve("tiny.Q4_K_M.gguf"), home().find("org/repo", null));
    assertEquals(snapshot.resolve("tiny.Q8_0.gguf"), home().find("org/repo", "Q8_0"));
    assertEquals(snapshot.resolve("tiny.Q8_0.gguf"), home().find("org/repo", "tiny.Q8_0.gguf"));
    assertNull(home().find("org/repo", "Q2_K"));
    assertNull(home().find("org/other", null));
  }

  @Test
  void findsSafetensorsOnlyWhereNoneIsMissing() throws IOException {
    hold("config.json", "model-00001-of-00002.safetensors", "tokenizer.json");
    assertNull(home().find("org/repo", null));
    hold("model-00002-of-00002.safetensors");
    assertEquals(snapshot, home().find("org/repo", null));
    Files.delete(snapshot.resolve("tokenizer.json"));
    assertNull(home().find("org/repo", null));
  }

  @Test
  void aLinkIntoTheVoidIsNoFile() throws IOException {
    hold("tiny.gguf");
    Files.delete(snapshot.resolve("../../blobs/blob-of-tiny.gguf").normalize());
    assertNull(home().find("org/repo", null));
  }

  @Test
  void aReferenceCannotLeaveTheCache() throws IOException {
    hold("tiny.gguf");
    Files.writeString(directory.resolve("hub/models--org--repo/refs/main"), "../../..");
    assertNull(home().find("org/repo", null));
  }

  @Test
  void theCacheMayLieElsewhere() throws IOException {
    hold("tiny.gguf");
    environment.put("HF_HUB_CACHE", directory.resolve("hub").toString());
    environment.put("HF_HOME", "/nowhere");
    assertEquals(snapshot.resolve("tiny.gguf"), home().find("org/repo", null));
  }

  @Test
  void takesTheTokenOfTheEnvironmentOrOfALogIn() throws IOException {
    assertNull(home().token());
    Files.writeString(directory.resolve("token"), "hf_stored\n");
    assertEquals("hf_stored", home().token());
    Path other = Files.writeString(directory.resolve("other"), "hf_other");
    environment.put("HF_TOKEN_PATH", other.toString());
    assertEquals("hf_other", home().token());
    environment.put("HF_TOKEN", " hf_own ");
    assertEquals("hf_own", home().token());
  }

  @Test
  void offlineSaysNoWordToTheHub() throws Exception {
    assertFalse(home().isOffline());
    environment.put("HF_HUB_OFFLINE", "0");
    assertFalse(home().isOffline());
    environment.put("HF_HUB_OFFLINE", "TRUE");
    assertTrue(home().isOffline());
    environment.put("TESSERA_CACHE", directory.resolve("cache").toString());
    try (var hub = new HubServer()) {
      environment.put("HF_ENDPOINT", hub.address());
      var store = new ModelStore(environment);
      ModelReference reference = ModelReference.parse("hf:org/repo");
      String message =
          assertThrows(
                  ModelUnavailableException.class,
                  () -> store.obtain(reference, DownloadProgress.NONE))
              .getMessage();
      assertTrue(message.contains("HF_HUB_OFFLINE is set"), message);
      hold("tiny.gguf");
      assertEquals(snapshot.resolve("tiny.gguf"), store.obtain(reference, DownloadProgress.NONE));
      assertEquals(0, hub.requests.size());
    }
  }
}
