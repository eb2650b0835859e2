package dev.tessera.models.hub;

import dev.tessera.models.gguf.GgufParts;
import dev.tessera.models.hub.HubClient.RemoteFile;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/// Chooses what to fetch from a repository that holds a model in several forms.
final class RepositoryFiles {
  /// Best first: small and good, then good, then what is left.
  private static final List<String> PREFERENCE =
      List.of(
          "q4_k_m", "q8_0", "q4_k_s", "q5_k_m", "q6_k", "q4_1", "q4_0", "q5_k_s", "q5_1", "q5_0",
          "bf16", "f16", "f32");

  private static final List<String> BESIDE_SAFETENSORS =
      List.of(
          "config.json",
          "generation_config.json",
          "tokenizer.json",
          "tokenizer_config.json",
          "special_tokens_map.json",
          "chat_template.jinja",
          "model.safetensors.index.json");

  private static final int SHOWN = 20;

  private RepositoryFiles() {}

  /// The files to fetch: a GGUF file, the parts of one in their order, or safetensors with what
  /// stands beside them.
  ///
  /// @param wanted a file's name or its quantisation, or null
  /// @throws ModelUnavailableException if there is none or more than one to choose from
  static List<RemoteFile> choose(String repository, List<RemoteFile> files, @Nullable String wanted)
      throws ModelUnavailableException {
    List<RemoteFile> ggufs = files.stream().filter(file -> isWholeModel(file.path())).toList();
    if (wanted != null) {
      return parts(repository, files, named(repository, files, ggufs, wanted));
    }
    if (ggufs.size() == 1) {
      return parts(repository, files, ggufs.getFirst());
    }
    for (String quantisation : PREFERENCE) {
      List<RemoteFile> matches =
          ggufs.stream().filter(file -> mentions(file.path(), quantisation)).toList();
      if (matches.size() == 1) {
        return parts(repository, files, matches.getFirst());
      }
      if (matches.size() > 1) {
        throw ambiguous(repository, matches);
      }
    }
    if (!ggufs.isEmpty()) {
      throw ambiguous(repository, ggufs);
    }
    return safetensors(repository, files);
  }

  private static RemoteFile named(
      String repository, List<RemoteFile> files, List<RemoteFile> ggufs, String wanted)
      throws ModelUnavailableException {
    for (RemoteFile file : files) {
      if (file.path().equals(wanted)) {
        if (!wanted.endsWith(".gguf")) {
          throw new ModelUnavailableException(
              "%s:%s is no GGUF file; name the repository alone to serve its safetensors"
                  .formatted(repository, wanted));
        }
        return file;
      }
    }
    List<RemoteFile> matches =
        ggufs.stream()
            .filter(file -> mentions(file.path(), wanted.toLowerCase(Locale.ROOT)))
            .toList();
    if (matches.size() == 1) {
      return matches.getFirst();
    }
    throw matches.isEmpty()
        ? new ModelUnavailableException(
            "%s holds no file %s; it holds %s".formatted(repository, wanted, names(files)))
        : ambiguous(repository, matches);
  }

  private static List<RemoteFile> parts(String repository, List<RemoteFile> files, RemoteFile first)
      throws ModelUnavailableException {
    List<RemoteFile> parts = new ArrayList<>();
    for (String name : GgufParts.names(first.path())) {
      parts.add(
          files.stream()
              .filter(file -> file.path().equals(name))
              .findFirst()
              .orElseThrow(
                  () ->
                      new ModelUnavailableException(
                          "%s holds %s, but not its part %s"
                              .formatted(repository, first.path(), name))));
    }
    return parts;
  }

  /// Stands for a model: not a later part of one, and not the projector of a multimodal one.
  private static boolean isWholeModel(String path) {
    return path.endsWith(".gguf")
        && !GgufParts.isLaterPart(path)
        && !path.contains("mmproj")
        && !path.contains("imatrix");
  }

  /// Whether the name contains the word, with no letter or digit at either side of it.
  private static boolean mentions(String path, String word) {
    String name = path.toLowerCase(Locale.ROOT);
    for (int at = name.indexOf(word); at >= 0; at = name.indexOf(word, at + 1)) {
      int end = at + word.length();
      boolean starts = at == 0 || !isWordCharacter(name.charAt(at - 1));
      boolean ends = end == name.length() || !isWordCharacter(name.charAt(end));
      if (starts && ends) {
        return true;
      }
    }
    return false;
  }

  private static boolean isWordCharacter(char character) {
    return Character.isLetterOrDigit(character) || character == '_';
  }

  private static List<RemoteFile> safetensors(String repository, List<RemoteFile> files)
      throws ModelUnavailableException {
    List<RemoteFile> chosen = new ArrayList<>();
    boolean single = files.stream().anyMatch(file -> file.path().equals("model.safetensors"));
    for (RemoteFile file : files) {
      String path = file.path();
      boolean weights =
          single
              ? path.equals("model.safetensors")
              : path.startsWith("model-") && path.endsWith(".safetensors");
      if (weights || BESIDE_SAFETENSORS.contains(path)) {
        chosen.add(file);
      }
    }
    boolean hasConfig = chosen.stream().anyMatch(file -> file.path().equals("config.json"));
    boolean hasWeights = chosen.stream().anyMatch(file -> file.path().endsWith(".safetensors"));
    if (!hasConfig || !hasWeights) {
      throw new ModelUnavailableException(
          "%s holds neither a GGUF model nor config.json with safetensors; it holds %s"
              .formatted(repository, names(files)));
    }
    return chosen;
  }

  private static ModelUnavailableException ambiguous(String repository, List<RemoteFile> files) {
    return new ModelUnavailableException(
        "%s holds several models; name one as hf:%s:FILE, of %s"
            .formatted(repository, repository, names(files)));
  }

  private static String names(List<RemoteFile> files) {
    String names =
        files.stream().limit(SHOWN).map(RemoteFile::path).collect(Collectors.joining(", "));
    return files.size() > SHOWN ? names + ", …" : names;
  }
}
