package dev.tessera.models;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Reads the small JSON files beside a model's weights, strictly: bounded, not deep, no key twice.
public final class JsonFile {
  private static final int LONGEST = 16 << 20;
  private static final int DEEPEST = 32;

  private static final ObjectMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(DEEPEST)
                          .maxNumberLength(100)
                          .maxNameLength(4096)
                          .maxStringLength(LONGEST)
                          .build())
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .enable(DeserializationFeature.USE_LONG_FOR_INTS)
          .build();

  private JsonFile() {}

  /// The object in a file, of maps, lists, [String], [Long], [Double], [Boolean] and null; or null
  /// where there is no such file.
  public static @Nullable Map<String, Object> read(Path path)
      throws IOException, ModelFormatException {
    if (!Files.exists(path)) {
      return null;
    }
    String name = String.valueOf(path.getFileName());
    long size = Files.size(path);
    if (size > LONGEST) {
      throw new ModelFormatException(
          "%s: %,d bytes; expected at most %,d".formatted(name, size, LONGEST));
    }
    return parse(Files.readAllBytes(path), name);
  }

  /// The object in a text.
  ///
  /// @param name what the message of a failure starts with
  public static Map<String, Object> parse(byte[] json, String name) throws ModelFormatException {
    if (parseValue(json, name) instanceof Map<?, ?> map) {
      Map<String, Object> object = LinkedHashMap.newLinkedHashMap(map.size());
      map.forEach((key, value) -> object.put((String) key, value));
      return object;
    }
    throw new ModelFormatException(name + ": expected a JSON object");
  }

  /// The value in a text, whatever it is.
  ///
  /// @param name what the message of a failure starts with
  public static @Nullable Object parseValue(byte[] json, String name) throws ModelFormatException {
    try {
      return MAPPER.readValue(json, Object.class);
    } catch (JsonProcessingException e) {
      var place = e.getLocation();
      throw new ModelFormatException(
          "%s: line %d, column %d: %s"
              .formatted(
                  name,
                  place == null ? 0 : place.getLineNr(),
                  place == null ? 0 : place.getColumnNr(),
                  e.getOriginalMessage()));
    } catch (IOException e) {
      throw new ModelFormatException(name + ": " + e.getMessage(), e);
    }
  }
}
