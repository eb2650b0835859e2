package dev.tessera.models.gguf;

import dev.tessera.kernels.Tensor;
import dev.tessera.models.ModelFormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A model in several GGUF files, as llama.cpp cuts large ones: `NAME-00001-of-00003.gguf` and so
/// on. The first holds all metadata, and each holds whole tensors.
public final class GgufParts {
  private static final Pattern NAME = Pattern.compile("(.*)-(\\d{5})-of-(\\d{5})\\.gguf");
  private static final String COUNT = "split.count";
  private static final String NUMBER = "split.no";
  private static final int MOST_PARTS = 999;

  private GgufParts() {}

  /// The names of all parts of a model whose first part has this name, in their order; the name
  /// alone where it is no first part's.
  public static List<String> names(String first) {
    Matcher name = NAME.matcher(first);
    if (!name.matches() || !name.group(2).equals("00001")) {
      return List.of(first);
    }
    int count = Integer.parseInt(name.group(3));
    List<String> names = new ArrayList<>();
    for (int number = 1; number <= Math.min(count, MOST_PARTS); number++) {
      names.add("%s-%05d-of-%05d.gguf".formatted(name.group(1), number, count));
    }
    return names;
  }

  /// Whether a file is a part of a model, but not its first.
  public static boolean isLaterPart(String file) {
    Matcher name = NAME.matcher(file);
    return name.matches() && !name.group(2).equals("00001");
  }

  /// Opens a model by its only file or by the first of its parts.
  ///
  /// @throws IOException if a file cannot be read
  /// @throws ModelFormatException if a part is missing, damaged or of another model
  public static GgufFile open(Path path) throws IOException, ModelFormatException {
    GgufFile first = GgufFile.open(path);
    List<GgufFile> parts = new ArrayList<>(List.of(first));
    boolean opened = false;
    try {
      String name = String.valueOf(path.getFileName());
      long count = number(first, COUNT, 1, name);
      if (count == 1) {
        opened = true;
        return first;
      }
      if (number(first, NUMBER, 0, name) != 0) {
        throw new ModelFormatException(
            "%s is part %d of a model; name its first part"
                .formatted(name, number(first, NUMBER, 0, name) + 1));
      }
      List<String> names = names(name);
      if (names.size() != count) {
        throw new ModelFormatException(
            "%s: %s is %d; expected a name that ends in -00001-of-%05d.gguf"
                .formatted(name, COUNT, count, count));
      }
      for (String other : names.subList(1, names.size())) {
        Path part = path.resolveSibling(other);
        if (!Files.exists(part)) {
          throw new ModelFormatException("%s: its part %s is missing".formatted(name, other));
        }
        parts.add(GgufFile.open(part));
        requireOrder(parts.getLast(), parts.size() - 1, count, other);
      }
      GgufFile whole = GgufFile.joined(parts, tensors(parts, names));
      opened = true;
      return whole;
    } finally {
      if (!opened) {
        parts.forEach(GgufFile::close);
      }
    }
  }

  private static void requireOrder(GgufFile part, int index, long count, String name)
      throws ModelFormatException {
    long number = number(part, NUMBER, 0, name);
    long parts = number(part, COUNT, 1, name);
    if (number != index || parts != count) {
      throw new ModelFormatException(
          "%s says that it is part %d of %d; expected %d of %d"
              .formatted(name, number + 1, parts, index + 1, count));
    }
  }

  private static long number(GgufFile file, String key, long absent, String name)
      throws ModelFormatException {
    Object value = file.metadata().values().get(key);
    if (value == null) {
      return absent;
    }
    if (!(value instanceof Long number) || number < 0 || number > MOST_PARTS) {
      throw new ModelFormatException(
          "%s: %s is %s; expected at most %d parts".formatted(name, key, value, MOST_PARTS));
    }
    return number;
  }

  private static Map<String, Tensor> tensors(List<GgufFile> parts, List<String> names)
      throws ModelFormatException {
    Map<String, Tensor> all = new LinkedHashMap<>();
    for (int i = 0; i < parts.size(); i++) {
      for (Tensor tensor : parts.get(i).tensors().values()) {
        if (all.put(tensor.name(), tensor) != null) {
          throw new ModelFormatException(
              "%s: tensor %s is in an earlier part too".formatted(names.get(i), tensor.name()));
        }
      }
    }
    Object expected = parts.getFirst().metadata().values().get("split.tensors.count");
    if (expected instanceof Long count && count != all.size()) {
      throw new ModelFormatException(
          "%s: its parts hold %,d tensors; split.tensors.count is %,d"
              .formatted(names.getFirst(), all.size(), count));
    }
    return all;
  }
}
