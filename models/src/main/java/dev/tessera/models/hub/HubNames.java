package dev.tessera.models.hub;

import dev.tessera.models.OneLine;
import dev.tessera.models.hub.ModelReference.HubRepository;
import org.jspecify.annotations.Nullable;

/// The names of repositories and files on a model hub. They come from users and from the network,
/// and become paths on this machine: nothing gets by that could leave a directory.
final class HubNames {
  private static final int LONGEST = 200;

  private HubNames() {}

  /// Parses `hf:org/repo[:file]`.
  static HubRepository parse(String text) {
    String names = text.substring("hf:".length());
    int colon = names.indexOf(':');
    String repository = colon < 0 ? names : names.substring(0, colon);
    @Nullable String file = colon < 0 ? null : names.substring(colon + 1);
    int slash = repository.indexOf('/');
    boolean sound =
        slash > 0
            && isSegment(repository.substring(0, slash))
            && isSegment(repository.substring(slash + 1))
            && (file == null || isFile(file));
    if (!sound) {
      throw new IllegalArgumentException(
          "%s: expected hf:org/repo or hf:org/repo:file".formatted(OneLine.of(text)));
    }
    return new HubRepository(repository, file);
  }

  /// Whether it is a relative path of plain names.
  static boolean isFile(String name) {
    for (String segment : name.split("/", -1)) {
      if (!isSegment(segment)) {
        return false;
      }
    }
    return name.length() <= LONGEST;
  }

  /// A plain name: never empty, never starting with a dot or a dash.
  private static boolean isSegment(String name) {
    if (name.isEmpty() || name.length() > LONGEST || !isLetterOrDigit(name.charAt(0))) {
      return false;
    }
    return name.chars().allMatch(c -> isLetterOrDigit(c) || "._-+=".indexOf(c) >= 0);
  }

  private static boolean isLetterOrDigit(int character) {
    return character >= 'a' && character <= 'z'
        || character >= 'A' && character <= 'Z'
        || character >= '0' && character <= '9';
  }
}
