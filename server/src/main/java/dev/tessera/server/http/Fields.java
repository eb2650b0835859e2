package dev.tessera.server.http;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// The fields of one JSON object, read by name with their type and range checked. A null value
/// counts as an absent field, as OpenAI's clients send it. Each error names field, value and limit.
final class Fields {
  private final ObjectNode object;
  private final String prefix;
  private final Set<String> known = new HashSet<>();

  Fields(ObjectNode object) {
    this(object, "");
  }

  private Fields(ObjectNode object, String prefix) {
    this.object = object;
    this.prefix = prefix;
  }

  /// Number of fields that nobody has asked for so far.
  int unknown() {
    int count = 0;
    for (var field : object.properties()) {
      if (!known.contains(field.getKey())) {
        count++;
      }
    }
    return count;
  }

  /// Declares fields that are accepted and mean nothing here.
  void ignore(String... names) {
    known.addAll(List.of(names));
  }

  @Nullable JsonNode get(String name) {
    known.add(name);
    JsonNode value = object.get(name);
    return value == null || value.isNull() ? null : value;
  }

  boolean has(String name) {
    return get(name) != null;
  }

  @Nullable String text(String name) {
    JsonNode value = get(name);
    if (value == null) {
      return null;
    }
    if (!value.isTextual()) {
      throw wrongType(name, "a string", value);
    }
    return value.textValue();
  }

  boolean flag(String name, boolean absent) {
    JsonNode value = get(name);
    if (value == null) {
      return absent;
    }
    if (!value.isBoolean()) {
      throw wrongType(name, "true or false", value);
    }
    return value.booleanValue();
  }

  @Nullable Long integer(String name, long low, long high) {
    JsonNode value = get(name);
    return value == null ? null : integer(name, value, low, high);
  }

  int integer(String name, int absent, int low, int high) {
    JsonNode value = get(name);
    return value == null ? absent : (int) integer(name, value, low, high);
  }

  /// An integer whose upper end is a limit of this server.
  ///
  /// @param key of the configuration
  int limited(String name, int absent, int low, int high, String key) {
    JsonNode value = get(name);
    return value == null ? absent : (int) integer(name, value, low, high, " (" + key + ")");
  }

  private long integer(String name, JsonNode value, long low, long high) {
    return integer(name, value, low, high, "");
  }

  private long integer(String name, JsonNode value, long low, long high, String key) {
    // 1.0 is an integer to JSON; 1.5 and 1e300 are not.
    boolean whole =
        value.isIntegralNumber()
            || (value.isFloatingPointNumber()
                && value.doubleValue() == Math.rint(value.doubleValue()));
    if (!whole) {
      throw wrongType(name, "an integer", value);
    }
    if (!value.canConvertToLong() || value.longValue() < low || value.longValue() > high) {
      throw invalid(name, "must be from %d to %d%s, is %s".formatted(low, high, key, shown(value)));
    }
    return value.longValue();
  }

  @Nullable Float number(String name, double low, boolean lowAllowed, double high) {
    JsonNode value = get(name);
    if (value == null) {
      return null;
    }
    if (!value.isNumber()) {
      throw wrongType(name, "a number", value);
    }
    double number = value.doubleValue();
    boolean inside = number <= high && (lowAllowed ? number >= low : number > low);
    if (!inside) {
      throw invalid(
          name,
          "must be %s %s and at most %s, is %s"
              .formatted(lowAllowed ? "at least" : "above", plain(low), plain(high), shown(value)));
    }
    return (float) number;
  }

  @Nullable ObjectNode object(String name) {
    JsonNode value = get(name);
    if (value == null) {
      return null;
    }
    if (!(value instanceof ObjectNode found)) {
      throw wrongType(name, "an object", value);
    }
    return found;
  }

  /// The fields of an object inside this one.
  @Nullable Fields nested(String name) {
    ObjectNode found = object(name);
    return found == null ? null : new Fields(found, prefix + name + ".");
  }

  /// A list, or null where the field is absent, whose limit is no setting.
  @Nullable List<JsonNode> list(String name, int maxSize) {
    return listWithin(name, maxSize, "");
  }

  /// A list, or null where the field is absent.
  ///
  /// @param key of the configuration, for the limit of its size
  @Nullable List<JsonNode> list(String name, int maxSize, String key) {
    return listWithin(name, maxSize, " (" + key + ")");
  }

  private @Nullable List<JsonNode> listWithin(String name, int maxSize, String key) {
    JsonNode value = get(name);
    if (value == null) {
      return null;
    }
    if (!value.isArray()) {
      throw wrongType(name, "a list", value);
    }
    if (value.size() > maxSize) {
      throw invalid(
          name, "has %d entries; at most %d are allowed%s".formatted(value.size(), maxSize, key));
    }
    List<JsonNode> elements = new ArrayList<>(value.size());
    value.forEach(elements::add);
    return elements;
  }

  /// Token ids, each at least 0 and below `width`.
  static int[] tokenIds(String name, JsonNode list, int width) {
    int[] ids = new int[list.size()];
    for (int i = 0; i < ids.length; i++) {
      JsonNode id = list.get(i);
      if (!id.isIntegralNumber()) {
        throw ApiError.badRequest(name, "%s[%d] must be a token id".formatted(name, i))
            .asException();
      }
      if (!id.canConvertToInt() || id.intValue() < 0 || id.intValue() >= width) {
        throw ApiError.badRequest(
                name,
                "%s[%d] is %s: out of vocabulary, token ids are from 0 to %d"
                    .formatted(name, i, Texts.shortened(id.asText(), 40), width - 1))
            .asException();
      }
      ids[i] = id.intValue();
    }
    return ids;
  }

  ApiException wrongType(String name, String expected, JsonNode found) {
    return invalid(name, "must be %s, is %s".formatted(expected, shown(found)));
  }

  ApiException invalid(String name, String problem) {
    String path = prefix + name;
    return ApiError.badRequest(path, path + " " + problem).asException();
  }

  private static String plain(double value) {
    return value == Math.rint(value) && Math.abs(value) < 1e9
        ? Long.toString((long) value)
        : Double.toString(value);
  }

  private static String shown(JsonNode value) {
    return switch (value.getNodeType()) {
      case OBJECT -> "an object";
      case ARRAY -> "a list";
      case STRING -> "the string '" + Texts.printable(Texts.shortened(value.textValue(), 40)) + "'";
      default -> Texts.shortened(value.asText(), 40);
    };
  }
}
