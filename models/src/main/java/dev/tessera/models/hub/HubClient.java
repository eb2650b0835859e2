package dev.tessera.models.hub;

import dev.tessera.models.JsonFile;
import dev.tessera.models.ModelFormatException;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Talks to a model hub with the addresses of Hugging Face.
///
/// Redirects are followed here and not by the HTTP client, because the token is for the hub alone:
/// the storage that it points to never sees it.
final class HubClient implements AutoCloseable {
  private static final String DEFAULT_ENDPOINT = "https://huggingface.co";

  private static final int MOST_REDIRECTS = 5;
  private static final int LONGEST_LISTING = 16 << 20;

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
    URI uri = endpoint.resolve("api/models/" + repository + "/tree/main?recursive=true");
    HttpResponse<InputStream> response = get(uri, 0);
    byte[] json;
    try (InputStream body = response.body()) {
      requireStatus(response, repository, 200);
      json = body.readNBytes(LONGEST_LISTING);
    }
    List<RemoteFile> files = new ArrayList<>();
    for (Object item : parseList(json, repository)) {
      RemoteFile file = item instanceof Map<?, ?> entry ? remoteFile(entry) : null;
      if (file != null) {
        files.add(file);
      }
    }
    return files;
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

  /// Starts to fetch a file.
  ///
  /// @param from first byte that is wanted; the answer's status says whether the hub starts there
  HttpResponse<InputStream> open(String repository, String file, long from)
      throws IOException, InterruptedException {
    HttpResponse<InputStream> response =
        get(endpoint.resolve(repository + "/resolve/main/" + file), from);
    if (response.statusCode() != 200
        && response.statusCode() != 206
        && response.statusCode() != 416) {
      response.body().close();
      requireStatus(response, repository + "/" + file, 200);
    }
    return response;
  }

  private HttpResponse<InputStream> get(URI start, long from)
      throws IOException, InterruptedException {
    URI uri = start;
    for (int i = 0; i <= MOST_REDIRECTS; i++) {
      HttpResponse<InputStream> response = send(uri, from);
      if (response.statusCode() < 300 || response.statusCode() >= 400) {
        return response;
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
    throw new ModelUnavailableException(
        switch (status) {
          case 401, 403 ->
              "%s: access denied (%d); %s"
                  .formatted(
                      what, status, token == null ? "set HF_TOKEN" : "HF_TOKEN does not open it");
          case 404 -> "%s: not found on the hub (404)".formatted(what);
          default -> "%s: the hub answers %d".formatted(what, status);
        });
  }

  @Override
  public void close() {
    http.shutdownNow();
  }
}
