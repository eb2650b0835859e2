package dev.tessera.models.hub;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.models.hub.HubClient.RemoteFile;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The hub's protocol: pages, redirects, checksums and refusals as Hugging Face sends them.
class HubClientTest {
  private static final String LISTING = "/api/models/org/repo/tree/main";
  private static final String FILE = "/org/repo/resolve/main/a.gguf";
  private static final byte[] BYTES = "the bytes".getBytes(StandardCharsets.UTF_8);

  private HubServer hub;

  @BeforeEach
  void startHub() throws Exception {
    hub = new HubServer();
  }

  @AfterEach
  void stopHub() {
    hub.close();
  }

  private HubClient client(String token) throws Exception {
    return new HubClient(hub.address(), token, Duration.ofSeconds(5));
  }

  /// Pages of one file each, of which page i names page i + 1 as `next` says.
  private void pages(int count, String linkToNext) {
    hub.on(
        LISTING,
        exchange -> {
          String query = exchange.getRequestURI().getRawQuery();
          int at = query.indexOf("cursor=");
          int page = at < 0 ? 0 : Integer.parseInt(query.substring(at + "cursor=".length()));
          if (page + 1 < count) {
            exchange.getResponseHeaders().add("Link", linkToNext.formatted(page + 1));
          }
          byte[] json =
              "[{\"type\":\"file\",\"path\":\"f%d\",\"size\":%d}]".formatted(page, page).getBytes();
          exchange.sendResponseHeaders(200, json.length);
          exchange.getResponseBody().write(json);
        });
  }

  private static String next(String address) {
    return "<" + address + LISTING + "?recursive=true&limit=1&cursor=%d>; rel=\"next\"";
  }

  @Test
  void readsEveryPageOfAListing() throws Exception {
    pages(3, "<" + hub.address() + "/first>; rel=\"first\", " + next(hub.address()));
    try (HubClient client = client("secret")) {
      assertEquals(
          List.of("f0", "f1", "f2"),
          client.list("org/repo").stream().map(RemoteFile::path).toList());
    }
    assertEquals(3, hub.requests.size());
    assertTrue(hub.requests.stream().allMatch(request -> request.endsWith("Bearer secret")));
  }

  @Test
  void readsThePagesOfAMirrorThatPassesOnTheHubsAddresses() throws Exception {
    pages(2, next("https://huggingface.co"));
    try (HubClient client = client("secret")) {
      assertEquals(2, client.list("org/repo").size());
    }
  }

  @Test
  void doesNotTakeAListingToAnotherHost() throws Exception {
    try (var other = new HubServer()) {
      pages(2, next(other.address()));
      try (HubClient client = client("secret")) {
        assertTrue(
            assertThrows(ModelUnavailableException.class, () -> client.list("org/repo"))
                .getMessage()
                .contains("is not followed"));
      }
      assertEquals(List.of(), other.requests);
    }
  }

  @Test
  void endsAListingThatDoesNotEnd() throws Exception {
    pages(Integer.MAX_VALUE, next(hub.address()));
    try (HubClient client = client(null)) {
      assertTrue(
          assertThrows(ModelUnavailableException.class, () -> client.list("org/repo"))
              .getMessage()
              .contains("more than 50 pages"));
    }
  }

  @ParameterizedTest(name = "{0} {1}, token {2}: {4}")
  @CsvSource({
    "401, GatedRepo, , , gated (401); accept its terms on the hub\\, and set HF_TOKEN",
    "403, GatedRepo, t, , gated (403); accept its terms on the hub\\, and use an HF_TOKEN",
    "401, RepoNotFound, , , not found on the hub\\, or private (401); set HF_TOKEN",
    "404, RepoNotFound, t, , not found on the hub\\, or private (404); HF_TOKEN does not open it",
    "404, RevisionNotFound, , , has no branch main (404)",
    "404, EntryNotFound, , Entry not found, not found on the hub (404) [Entry not found]",
    "401, , , , no such repository\\, or access denied (401); set HF_TOKEN",
    "401, , t, Invalid credentials, HF_TOKEN does not open it [Invalid credentials]",
    "403, , t, , access denied (403); HF_TOKEN does not open it",
    "429, , , , limits how much one may ask (429)",
    "500, , , , the hub answers 500",
  })
  void saysWhyTheHubRefuses(int status, String code, String token, String said, String expected)
      throws Exception {
    hub.on(
        FILE,
        exchange -> {
          if (code != null) {
            exchange.getResponseHeaders().add("X-Error-Code", code);
          }
          if (said != null) {
            exchange.getResponseHeaders().add("X-Error-Message", said);
          }
          exchange.sendResponseHeaders(status, -1);
        });
    try (HubClient client = client(token)) {
      String message =
          assertThrows(ModelUnavailableException.class, () -> client.open("org/repo", "a.gguf", 0))
              .getMessage();
      assertTrue(message.startsWith("org/repo/a.gguf: "), message);
      assertTrue(message.contains(expected.replace("\\", "")), message);
    }
  }

  /// The hub redirects a file in large-file storage to another host, and names its SHA-256 itself.
  private void serveBehindARedirect(HubServer storage, String linkedEtag) {
    hub.on(
        FILE,
        exchange -> {
          exchange.getResponseHeaders().add("X-Linked-Etag", "\"" + linkedEtag + "\"");
          exchange.getResponseHeaders().add("Location", storage.address() + "/blob?sign=a%2Fb");
          exchange.sendResponseHeaders(302, -1);
        });
    storage.on(
        "/blob",
        exchange -> {
          // The storage's own claims do not count.
          exchange.getResponseHeaders().add("X-Linked-Etag", "\"" + "0".repeat(64) + "\"");
          boolean signed = "sign=a%2Fb".equals(exchange.getRequestURI().getRawQuery());
          exchange.sendResponseHeaders(signed ? 200 : 400, BYTES.length);
          exchange.getResponseBody().write(BYTES);
        });
  }

  private static String sha256(byte[] bytes) throws Exception {
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
  }

  @Test
  void takesTheChecksumFromTheHubAndTheBytesFromItsStorage() throws Exception {
    try (var storage = new HubServer();
        HubClient client = client("secret")) {
      serveBehindARedirect(storage, sha256(BYTES));
      HubClient.Answer answer = client.open("org/repo", "a.gguf", 0);
      try (InputStream body = answer.response().body()) {
        assertArrayEquals(BYTES, body.readAllBytes());
      }
      assertEquals(Checksum.sha256(sha256(BYTES)), answer.linked());
      assertEquals(List.of("/blob null null"), storage.requests);
    }
  }

  @Test
  void aDownloadIsHeldToThatChecksum(@TempDir Path directory) throws Exception {
    var unknown = new RemoteFile("a.gguf", BYTES.length, null);
    Path target = directory.resolve("a.gguf");
    try (var storage = new HubServer();
        HubClient client = client(null)) {
      var download = new Download(client, Duration.ofSeconds(5), DownloadProgress.NONE);
      serveBehindARedirect(storage, sha256(new byte[1]));
      assertTrue(
          assertThrows(
                  ModelUnavailableException.class,
                  () -> download.fetch("org/repo", unknown, target))
              .getMessage()
              .contains("another size or checksum"));
      assertFalse(Files.exists(target));
      serveBehindARedirect(storage, sha256(BYTES));
      download.fetch("org/repo", unknown, target);
      assertArrayEquals(BYTES, Files.readAllBytes(target));
    }
  }
}
