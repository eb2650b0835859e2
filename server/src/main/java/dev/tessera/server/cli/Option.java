package dev.tessera.server.cli;

import java.util.List;
import java.util.Locale;
import java.util.function.Function;

/// One key of the configuration: where it may be set, what it may be, what it is otherwise.
///
/// @param key as in `application.yaml`, for example `server.port`
/// @param flag of the command line, or empty where the key has none
/// @param label what `--help` shows in the place of the value
/// @param absent its value, written as in the file, where nobody sets it
/// @param parse the value out of its text; throws [IllegalArgumentException] with what is expected
record Option<T>(
    String key,
    String flag,
    String label,
    String absent,
    Function<String, T> parse,
    String description) {

  boolean takesList() {
    return parse.apply(absent) instanceof List<?>;
  }

  /// The environment variable: `TESSERA_` and the flag where there is one, else the key.
  String variable() {
    String name = flag.isEmpty() ? key : flag.substring(2);
    return "TESSERA_" + name.toUpperCase(Locale.ROOT).replace('-', '_').replace('.', '_');
  }
}
