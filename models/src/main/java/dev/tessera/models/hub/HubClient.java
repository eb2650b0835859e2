package dev.tessera.models.hub;

import dev.tessera.models.JsonFile;
import dev.tessera.models.ModelFormatException;
import dev.tessera.models.OneLine;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// Talks to a model hub with the addresses of Hugging Face.
///
/// Redirects are followed here and not by the HTTP client, because the token is for the hub alone:
/// the storage that it points to never sees it.
final class HubClient implements AutoCloseable {
  private static final String DEFAULT_ENDPOINT = "https://huggingface.co";

  private static final int MOST_REDIRECTS = 5;
  private static final int LONGEST_LISTING = 16 << 20;

  /// Of a listing, with a thousand files each.
  private static final int MOST_PAGES = 50;

  private static final Pattern SHA_256 = Pattern.compile("[0-9a-f]{64}");

  private final URI endpoint;
  private final @Nullable String token;
  private final Duration patience;
  private final HttpClient http;

  /// @param endpoint the hub's address; null for the usual one
  /// @param token a secret for the hub, or null
  /// @param patience how long to wait for an answer to begin
  HubClient(@Nullable String endpoint, @Nullable String token, Duration patience)
      throws ModelUnavailableException {
    this.endpoint = parse(endpoint == null || endpoint.isBlank() ? DEFAULT_ENDPOINT : endpoint);
    this.token = token == null || token.isBlank() ? null : token.strip();
    this.patience = patience;
    this.http =
        HttpClient.newBuilder()
            .connectTimeout(patience)
            .followRedirects(HttpClient.Redirect.NEVER)
            .version(HttpClient.Version.HTTP_1_1)
            .build();
  }

  private static URI parse(String endpoint) throws ModelUnavailableException {
    try {
      URI uri = URI.create(endpoint.endsWith("/") ? endpoint : endpoint + "/");
      if (uri.getHost() != null && isWeb(uri)) {
        return uri;
      }
    } catch (IllegalArgumentException e) {
      // Said below.
    }
    throw new ModelUnavailableException(
        "HF_ENDPOINT is " + endpoint + "; expected an http or https address");
  }

  private static boolean isWeb(URI uri) {
    return "https".equals(uri.getScheme()) || "http".equals(uri.getScheme());
  }

  /// A file of a repository.
  ///
  /// @param checksum null where the hub does not say
  record RemoteFile(String path, long size, @Nullable Checksum checksum) {}

  /// The files of a repository whose names are sound.
  List<RemoteFile> list(String repository) throws IOException, InterruptedException {
    List<RemoteFile> files = new ArrayList<>();
    URI page = endpoint.resolve("api/models/" + repository + "/tree/main?recursive=true");
    for (int i = 0; i < MOST_PAGES; i++) {
      HttpResponse<InputStream> response = get(page, 0);
      byte[] json;
      try (InputStream body = response.body()) {
        requireStatus(response, repository, 200);
        json = body.readNBytes(LONGEST_LISTING);
      }
      for (Object item : parseList(json, repository)) {
        RemoteFile file = item instanceof Map<?, ?> entry ? remoteFile(entry) : null;
        if (file != null) {
          files.add(file);
        }
      }
      String next = nextPage(response.headers());
      if (next == null) {
        return files;
      }
      page = onThisHub(redirect(page, next));
    }
    throw new ModelUnavailableException(
        "%s: the hub's listing has more than %d pages".formatted(repository, MOST_PAGES));
  }

  /// The address in `Link: <address>; rel="next"`, or null.
  private static @Nullable String nextPage(HttpHeaders headers) {
    for (String header : headers.allValues("Link")) {
      for (int open = header.indexOf('<'); open >= 0; open = header.indexOf('<', open + 1)) {
        int close = header.indexOf('>', open);
        int end = close < 0 ? -1 : header.indexOf('<', close);
        if (close >= 0
            && header
                .substring(close, end < 0 ? header.length() : end)
                .replace(" ", "")
                .contains("rel=\"next\"")) {
          return header.substring(open + 1, close);
        }
      }
    }
    return null;
  }

  /// A mirror may pass on addresses of the hub that it mirrors.
  private URI onThisHub(URI uri) throws ModelUnavailableException {
    if (isHub(uri)) {
      return uri;
    }
    if (!DEFAULT_ENDPOINT.equals(uri.getScheme() + "://" + uri.getHost())) {
      throw new ModelUnavailableException("a listing that goes on at " + uri + " is not followed");
    }
    String query = uri.getRawQuery() == null ? "" : "?" + uri.getRawQuery();
    return endpoint.resolve(uri.getRawPath().substring(1) + query);
  }

  private static List<?> parseList(byte[] json, String repository) throws IOException {
    try {
      if (JsonFile.parseValue(json, repository) instanceof List<?> list) {
        return list;
      }
      throw new ModelUnavailableException(repository + ": the hub's listing is not a list");
    } catch (ModelFormatException e) {
      throw new ModelUnavailableException("the hub's listing of " + e.getMessage());
    }
  }

  private static @Nullable RemoteFile remoteFile(Map<?, ?> entry) {
    if (!"file".equals(entry.get("type"))
        || !(entry.get("path") instanceof String path)
        || !(entry.get("size") instanceof Long size)
        || !HubNames.isFile(path)) {
      return null;
    }
    if (entry.get("lfs") instanceof Map<?, ?> lfs && lfs.get("oid") instanceof String oid) {
      return new RemoteFile(path, size, Checksum.sha256(oid));
    }
    boolean isGitName = entry.get("oid") instanceof String oid && oid.length() == 40;
    return new RemoteFile(
        path, size, isGitName ? Checksum.gitBlob(String.valueOf(entry.get("oid"))) : null);
  }

  /// Bytes that begin to arrive.
  ///
  /// @param linked what the hub itself said that they add up to, before it pointed elsewhere; null
  ///   where it did not say
  record Answer(HttpResponse<InputStream> response, @Nullable Checksum linked) {}

  /// Starts to fetch a file.
  ///
  /// @param from first byte that is wanted; the answer's status says whether the hub starts there
  Answer open(String repository, String file, long from) throws IOException, InterruptedException {
    Answer answer = follow(endpoint.resolve(repository + "/resolve/main/" + file), from);
    HttpResponse<InputStream> response = answer.response;
    if (response.statusCode() != 200
        && response.statusCode() != 206
        && response.statusCode() != 416) {
      response.body().close();
      requireStatus(response, repository + "/" + file, 200);
    }
    return answer;
  }

  private HttpResponse<InputStream> get(URI start, long from)
      throws IOException, InterruptedException {
    return follow(start, from).response;
  }

  private Answer follow(URI start, long from) throws IOException, InterruptedException {
    URI uri = start;
    @Nullable Checksum linked = null;
    for (int i = 0; i <= MOST_REDIRECTS; i++) {
      HttpResponse<InputStream> response = send(uri, from);
      if (linked == null && isHub(uri)) {
        linked = linkedChecksum(response.headers());
      }
      if (response.statusCode() < 300 || response.statusCode() >= 400) {
        return new Answer(response, linked);
      }
      response.body().close();
      String location =
          response
              .headers()
              .firstValue("Location")
              .orElseThrow(() -> new ModelUnavailableException("a redirect without an address"));
      uri = redirect(uri, location);
    }
    throw new ModelUnavailableException(
        "%s redirects more than %d times".formatted(start.getHost(), MOST_REDIRECTS));
  }

  /// `X-Linked-Etag` of a file in large-file storage is its SHA-256.
  private static @Nullable Checksum linkedChecksum(HttpHeaders headers) {
    String tag = headers.firstValue("X-Linked-Etag").orElse("").replace("\"", "");
    return SHA_256.matcher(tag).matches() ? Checksum.sha256(tag) : null;
  }

  private static URI redirect(URI from, String location) throws ModelUnavailableException {
    URI to;
    try {
      to = from.resolve(location);
    } catch (IllegalArgumentException e) {
      throw new ModelUnavailableException("a redirect to the malformed address " + location);
    }
    boolean downgrade = "https".equals(from.getScheme()) && !"https".equals(to.getScheme());
    if (to.getHost() == null || !isWeb(to) || downgrade) {
      throw new ModelUnavailableException("a redirect to " + to + " is not followed");
    }
    return to;
  }

  private HttpResponse<InputStream> send(URI uri, long from)
      throws IOException, InterruptedException {
    HttpRequest.Builder request = HttpRequest.newBuilder(uri).timeout(patience).GET();
    request.header("User-Agent", "tessera");
    if (from > 0) {
      request.header("Range", "bytes=" + from + "-");
    }
    if (token != null && isHub(uri)) {
      request.header("Authorization", "Bearer " + token);
    }
    try {
      return http.send(request.build(), HttpResponse.BodyHandlers.ofInputStream());
    } catch (HttpConnectTimeoutException e) {
      throw new ModelUnavailableException(
          "%s cannot be reached within %d ms".formatted(uri.getHost(), patience.toMillis()));
    } catch (HttpTimeoutException e) {
      throw new ModelUnavailableException(
          "%s does not answer within %d ms".formatted(uri.getHost(), patience.toMillis()));
    }
  }

  private boolean isHub(URI uri) {
    return endpoint.getScheme().equals(uri.getScheme())
        && endpoint.getHost().equalsIgnoreCase(uri.getHost())
        && endpoint.getPort() == uri.getPort();
  }

  private void requireStatus(HttpResponse<?> response, String what, int expected)
      throws ModelUnavailableException {
    int status = response.statusCode();
    if (status == expected) {
      return;
    }
    String code = response.headers().firstValue("X-Error-Code").orElse("");
    throw new ModelUnavailableException(
        switch (code) {
          case "GatedRepo" ->
              "%s: gated (%d); accept its terms on the hub, and %s"
                  .formatted(
                      what,
                      status,
                      token == null ? "set HF_TOKEN" : "use an HF_TOKEN of who accepted them");
          case "RepoNotFound" ->
              "%s: not found on the hub, or private (%d); %s"
                  .formatted(what, status, tokenAdvice());
          case "RevisionNotFound" -> "%s: has no branch main (%d)".formatted(what, status);
          default -> refusal(response, what);
        });
  }

  private String refusal(HttpResponse<?> response, String what) {
    int status = response.statusCode();
    String said = response.headers().firstValue("X-Error-Message").orElse("");
    return switch (status) {
          // Without a token, the hub gives the same answer for what is not there.
          case 401 ->
              "%s: no such repository, or access denied (401); %s".formatted(what, tokenAdvice());
          case 403 -> "%s: access denied (403); %s".formatted(what, tokenAdvice());
          case 404 -> "%s: not found on the hub (404)".formatted(what);
          case 429 -> "%s: the hub limits how much one may ask (429); try later".formatted(what);
          default -> "%s: the hub answers %d".formatted(what, status);
        }
        + (said.isEmpty() ? "" : " [" + OneLine.of(said) + "]");
  }

  private String tokenAdvice() {
    return token == null ? "set HF_TOKEN" : "HF_TOKEN does not open it";
  }

  @Override
  public void close() {
    http.shutdownNow();
  }
}
