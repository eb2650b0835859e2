package dev.tessera.models.safetensors;

import dev.tessera.kernels.Tensor;
import dev.tessera.models.JsonFile;
import dev.tessera.models.ModelFormatException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/// The safetensors of a directory: `model.safetensors`, or the shards that
/// `model.safetensors.index.json` names. Closing unmaps the tensors.
public final class SafetensorsCheckpoint implements AutoCloseable {
  private static final String SINGLE = "model.safetensors";
  private static final String INDEX = "model.safetensors.index.json";
  private static final int MOST_SHARDS = 1000;

  private final Map<String, Tensor> tensors;
  private final List<byte[]> headers;
  private final long fileBytes;
  private final Arena arena;

  private SafetensorsCheckpoint(
      Map<String, Tensor> tensors, List<byte[]> headers, long fileBytes, Arena arena) {
    this.tensors = Collections.unmodifiableMap(tensors);
    this.headers = List.copyOf(headers);
    this.fileBytes = fileBytes;
    this.arena = arena;
  }

  /// Whether the directory holds safetensors.
  public static boolean isIn(Path directory) {
    return Files.exists(directory.resolve(SINGLE)) || Files.exists(directory.resolve(INDEX));
  }

  /// Maps every shard.
  ///
  /// @throws ModelFormatException if a file is damaged, a shard or a tensor is missing, or a tensor
  ///   is there twice
  public static SafetensorsCheckpoint open(Path directory)
      throws IOException, ModelFormatException {
    Map<String, Object> index = JsonFile.read(directory.resolve(INDEX));
    Arena arena = Arena.ofShared();
    boolean opened = false;
    try {
      var checkpoint =
          index == null || Files.exists(directory.resolve(SINGLE))
              ? open(directory, List.of(SINGLE), null, arena)
              : openShards(directory, index, arena);
      opened = true;
      return checkpoint;
    } finally {
      if (!opened) {
        arena.close();
      }
    }
  }

  private static SafetensorsCheckpoint openShards(
      Path directory, Map<String, Object> index, Arena arena)
      throws IOException, ModelFormatException {
    if (!(index.get("weight_map") instanceof Map<?, ?> weightMap) || weightMap.isEmpty()) {
      throw new ModelFormatException(INDEX + ": weight_map is missing or empty");
    }
    var shards = new TreeSet<String>();
    for (Object value : weightMap.values()) {
      if (!(value instanceof String shard) || !isPlainName(shard)) {
        throw new ModelFormatException(
            INDEX + ": weight_map names " + value + "; expected a file beside it");
      }
      shards.add(shard);
    }
    if (shards.size() > MOST_SHARDS) {
      throw new ModelFormatException(
          "%s names %,d files; expected at most %,d".formatted(INDEX, shards.size(), MOST_SHARDS));
    }
    return open(directory, List.copyOf(shards), weightMap, arena);
  }

  /// A name that stays in its directory.
  private static boolean isPlainName(String name) {
    return name.endsWith(".safetensors")
        && name.chars().noneMatch(c -> c == '/' || c == '\\' || c == ':' || c < ' ');
  }

  private static SafetensorsCheckpoint open(
      Path directory, List<String> files, @Nullable Map<?, ?> weightMap, Arena arena)
      throws IOException, ModelFormatException {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    List<byte[]> headers = new ArrayList<>();
    long fileBytes = 0;
    for (String file : files) {
      Path path = directory.resolve(file);
      if (!Files.exists(path)) {
        throw new ModelFormatException(INDEX + ": the file " + file + " is missing");
      }
      SafetensorsFile shard = SafetensorsFile.open(path, arena);
      for (Tensor tensor : shard.tensors().values()) {
        if (weightMap != null && !file.equals(weightMap.get(tensor.name()))) {
          throw new ModelFormatException(
              "%s holds tensor %s, which %s does not place there"
                  .formatted(file, tensor.name(), INDEX));
        }
        tensors.put(tensor.name(), tensor);
      }
      headers.add(shard.header());
      fileBytes += shard.fileBytes();
    }
    if (weightMap != null) {
      for (Object name : weightMap.keySet()) {
        if (!tensors.containsKey(name)) {
          throw new ModelFormatException(
              "%s places tensor %s in %s, which does not hold it"
                  .formatted(INDEX, name, weightMap.get(name)));
        }
      }
    }
    return new SafetensorsCheckpoint(tensors, headers, fileBytes, arena);
  }

  /// The tensors by name. One with more than two dimensions has all but the last as its rows.
  public Map<String, Tensor> tensors() {
    return tensors;
  }

  /// The headers of the files, in the order of the files' names.
  public List<byte[]> headers() {
    return headers;
  }

  /// Bytes of all files together.
  public long fileBytes() {
    return fileBytes;
  }

  @Override
  public void close() {
    arena.close();
  }
}
