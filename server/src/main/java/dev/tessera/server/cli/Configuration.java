package dev.tessera.server.cli;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.tessera.server.http.Texts;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The values of the [Options], each from the first place that has one: a flag, the environment,
/// the configuration file, the default.
final class Configuration {
  private final Map<String, Setting> settings = new LinkedHashMap<>();

  /// A value as text, and who set it, for messages.
  private record Setting(String text, String source) {}

  private Configuration() {}

  /// @param flags values of the command line, by flag
  /// @param file null for none
  /// @throws CommandFailure if a key is unknown or a value is not what its key takes
  static Configuration of(
      Map<String, String> flags, Map<String, String> environment, @Nullable Path file) {
    var configuration = new Configuration();
    Map<String, String> fromFile = file == null ? Map.of() : read(file);
    for (Option<?> option : Options.ALL) {
      String flag = option.flag().isEmpty() ? null : flags.get(option.flag());
      String variable = ofUser(option.variable(), environment);
      String line = fromFile.get(option.key());
      Setting setting;
      if (flag != null) {
        setting = new Setting(flag, option.flag());
      } else if (variable != null) {
        setting = new Setting(variable, option.variable());
      } else if (line != null) {
        setting = new Setting(line, option.key() + " in " + file);
      } else {
        setting = new Setting(option.absent(), "default");
      }
      configuration.settings.put(option.key(), setting);
      configuration.get(option);
    }
    return configuration;
  }

  /// A variable that was set for us. Kubernetes gives every pod the addresses of the services of
  /// its namespace: beside one named `tessera`, TESSERA_PORT is `tcp://10.0.0.1:8000`.
  private static @Nullable String ofUser(String variable, Map<String, String> environment) {
    String value = environment.get(variable);
    boolean isAddress = value != null && (value.startsWith("tcp://") || value.startsWith("udp://"));
    return isAddress && variable.endsWith("_PORT") ? null : value;
  }

  /// @throws CommandFailure if the value is not what the key takes
  <T> T get(Option<T> option) {
    Setting setting = settings.getOrDefault(option.key(), new Setting(option.absent(), "default"));
    try {
      return option.parse().apply(setting.text);
    } catch (IllegalArgumentException e) {
      throw CommandFailure.usage(
          "%s: %s, is '%s'"
              .formatted(setting.source, e.getMessage(), Texts.printable(setting.text)));
    }
  }

  /// Whether somebody has set the key: by a flag, by a variable, or to another value than the
  /// default in the file, which lists every key.
  boolean isSet(Option<?> option) {
    Setting setting = settings.get(option.key());
    return setting != null
        && (!setting.text.equals(option.absent())
            || setting.source.equals(option.flag())
            || setting.source.equals(option.variable()));
  }

  /// The file to read where no flag names one: `config/application.yaml` beside the launcher.
  static @Nullable Path defaultFile(@Nullable String home) {
    if (home == null) {
      return null;
    }
    Path file = Path.of(home, "config", "application.yaml");
    return Files.isRegularFile(file) ? file : null;
  }

  private static Map<String, String> read(Path file) {
    JsonNode root;
    try {
      root = new YAMLMapper().readTree(Files.readString(file));
    } catch (JsonProcessingException e) {
      JsonLocation place = e.getLocation();
      throw CommandFailure.usage(
          "%s%s: not YAML: %s"
              .formatted(
                  file,
                  place == null ? "" : ", line " + place.getLineNr(),
                  Texts.printable(firstLine(e.getOriginalMessage()))));
    } catch (NoSuchFileException e) {
      throw CommandFailure.usage("the configuration %s does not exist".formatted(file));
    } catch (IOException e) {
      throw CommandFailure.usage(
          "cannot read the configuration %s: %s"
              .formatted(file, Texts.printable(String.valueOf(e.getMessage()))));
    }
    Map<String, String> values = new LinkedHashMap<>();
    if (root != null && !root.isMissingNode() && !root.isNull()) {
      flatten("", root, values, file);
    }
    List<String> known = Options.ALL.stream().map(Option::key).toList();
    for (String key : values.keySet()) {
      if (!known.contains(key)) {
        throw CommandFailure.usage(
            "%s: unknown key %s; did you mean %s?"
                .formatted(file, Texts.printable(key), Spelling.nearest(key, known)));
      }
    }
    return values;
  }

  /// SnakeYAML says in several lines what is wrong and where: the first that is no place is the
  /// reason.
  private static String firstLine(String message) {
    List<String> lines = message.lines().map(String::strip).toList();
    return lines.stream()
        .filter(line -> line.startsWith("expected") || line.startsWith("found"))
        .findFirst()
        .orElse(lines.isEmpty() ? "" : lines.getFirst());
  }

  private static void flatten(String path, JsonNode node, Map<String, String> values, Path file) {
    if (node.isObject()) {
      for (var entry : node.properties()) {
        String key = path.isEmpty() ? entry.getKey() : path + "." + entry.getKey();
        flatten(key, entry.getValue(), values, file);
      }
    } else if (path.isEmpty()) {
      throw CommandFailure.usage(file + ": expected keys and values");
    } else if (node.isArray()) {
      List<String> elements = new ArrayList<>();
      node.forEach(element -> elements.add(element.asText()));
      values.put(path, String.join(",", elements));
    } else if (!node.isNull()) {
      values.put(path, node.asText());
    }
  }
}
