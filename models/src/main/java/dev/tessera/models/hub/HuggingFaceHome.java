package dev.tessera.models.hub;

import dev.tessera.models.hub.HubClient.RemoteFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// What Hugging Face's own tools have left on this machine: a token, and a cache of files. Both are
/// read and never written.
///
/// `HF_HOME` (else `huggingface` in `XDG_CACHE_HOME`, else `~/.cache/huggingface`) holds the file
/// `token` and the cache `hub`, which `HF_TOKEN_PATH` and `HF_HUB_CACHE` put elsewhere. In the
/// cache `models--ORG--REPO/refs/main` names a commit, and `snapshots/COMMIT` holds its files,
/// those that were asked for.
final class HuggingFaceHome {
  private static final Set<String> TRUE = Set.of("1", "on", "yes", "true");
  private static final Pattern SHARD = Pattern.compile(".*-\\d{5}-of-(\\d{5})\\.safetensors");
  private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}");
  private static final int MOST_FILES = 10_000;
  private static final int LONGEST_TOKEN = 1000;

  private final Map<String, String> environment;

  HuggingFaceHome(Map<String, String> environment) {
    this.environment = environment;
  }

  private @Nullable String setting(String name) {
    String value = environment.get(name);
    return value == null || value.isBlank() ? null : value.strip();
  }

  private Path home() {
    String own = setting("HF_HOME");
    if (own != null) {
      return Path.of(own);
    }
    String shared = setting("XDG_CACHE_HOME");
    return shared == null
        ? Path.of(System.getProperty("user.home"), ".cache", "huggingface")
        : Path.of(shared, "huggingface");
  }

  /// Whether the user wants no word said to the hub (`HF_HUB_OFFLINE`).
  boolean isOffline() {
    String value = setting("HF_HUB_OFFLINE");
    return value != null && TRUE.contains(value.toLowerCase(Locale.ROOT));
  }

  /// `HF_TOKEN`, else the one that a log-in has stored, else null.
  @Nullable String token() throws IOException {
    String token = setting("HF_TOKEN");
    if (token != null) {
      return token;
    }
    String place = setting("HF_TOKEN_PATH");
    Path file = place == null ? home().resolve("token") : Path.of(place);
    if (!Files.isReadable(file) || Files.size(file) > LONGEST_TOKEN) {
      return null;
    }
    String stored = Files.readString(file).strip();
    return stored.isEmpty() ? null : stored;
  }

  /// A repository's model in the cache: a GGUF file, or the folder of its safetensors; null unless
  /// every file of it is there.
  ///
  /// @param wanted a file's name or its quantisation, or null
  @Nullable Path find(String repository, @Nullable String wanted) throws IOException {
    Path snapshot = snapshot(repository);
    if (snapshot == null) {
      return null;
    }
    List<RemoteFile> chosen;
    try {
      chosen = RepositoryFiles.choose(repository, files(snapshot), wanted);
    } catch (ModelUnavailableException e) {
      return null; // The cache holds some other file of the repository.
    }
    if (chosen.size() == 1 && chosen.getFirst().path().endsWith(".gguf")) {
      return snapshot.resolve(chosen.getFirst().path());
    }
    boolean hasTokenizer = chosen.stream().anyMatch(file -> file.path().equals("tokenizer.json"));
    return hasTokenizer && hasEveryShard(chosen) ? snapshot : null;
  }

  private @Nullable Path snapshot(String repository) throws IOException {
    String cache = setting("HF_HUB_CACHE");
    Path folder =
        (cache == null ? home().resolve("hub") : Path.of(cache))
            .resolve("models--" + repository.replace("/", "--"));
    Path reference = folder.resolve("refs").resolve("main");
    if (!Files.isReadable(reference)) {
      return null;
    }
    String commit = Files.readString(reference).strip();
    Path snapshot = folder.resolve("snapshots").resolve(commit);
    return COMMIT.matcher(commit).matches() && Files.isDirectory(snapshot) ? snapshot : null;
  }

  /// A link whose blob is not there is no file.
  private static List<RemoteFile> files(Path snapshot) throws IOException {
    List<RemoteFile> files = new ArrayList<>();
    try (Stream<Path> paths = Files.walk(snapshot, 3)) {
      for (Path path : paths.filter(Files::isRegularFile).limit(MOST_FILES).toList()) {
        String name = snapshot.relativize(path).toString().replace('\\', '/');
        if (HubNames.isFile(name)) {
          files.add(new RemoteFile(name, Files.size(path), null));
        }
      }
    }
    return files;
  }

  private static boolean hasEveryShard(List<RemoteFile> files) {
    int shards = 0;
    int expected = 0;
    for (RemoteFile file : files) {
      Matcher shard = SHARD.matcher(file.path());
      if (shard.matches()) {
        shards++;
        expected = Integer.parseInt(shard.group(1));
      }
    }
    return shards == expected;
  }
}
