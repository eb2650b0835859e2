package dev.tessera.server.http;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/// Which handler answers which method and path.
final class Routes {
  private final Map<String, Map<String, Route>> exact = new LinkedHashMap<>();
  private final Map<String, Route> below = new LinkedHashMap<>();

  /// Answers one kind of request.
  interface Handler {
    void handle(Exchange exchange);
  }

  /// @param isPublic whether no key is needed
  /// @param generates whether it counts against the limit of concurrent requests
  record Route(Handler handler, boolean isPublic, boolean generates) {}

  /// What a lookup found.
  sealed interface Match {
    /// @param pattern the route's path, of which there are few: fit for a metric's label
    record Found(Route route, String pattern) implements Match {}

    record WrongMethod(String allow) implements Match {}

    record Nothing() implements Match {}
  }

  Routes get(String path, Handler handler) {
    return add("GET", path, new Route(handler, false, false));
  }

  Routes getPublic(String path, Handler handler) {
    return add("GET", path, new Route(handler, true, false));
  }

  Routes post(String path, Handler handler) {
    return add("POST", path, new Route(handler, false, false));
  }

  Routes generate(String path, Handler handler) {
    return add("POST", path, new Route(handler, false, true));
  }

  /// Answers GET for every path that begins with `prefix` and has more.
  Routes getBelow(String prefix, Handler handler) {
    below.put(prefix, new Route(handler, false, false));
    return this;
  }

  private Routes add(String method, String path, Route route) {
    exact.computeIfAbsent(path, p -> new LinkedHashMap<>()).put(method, route);
    return this;
  }

  Match find(String method, String path) {
    // HEAD is GET without the body, which the exchange leaves out.
    String wanted = method.equals("HEAD") ? "GET" : method;
    String pattern = path;
    Map<String, Route> methods = exact.get(path);
    if (methods == null) {
      String prefix = prefix(path);
      if (prefix == null) {
        return new Match.Nothing();
      }
      pattern = prefix + "{name}";
      methods = Map.of("GET", java.util.Objects.requireNonNull(below.get(prefix)));
    }
    Route route = methods.get(wanted);
    return route == null
        ? new Match.WrongMethod(allow(methods.keySet()))
        : new Match.Found(route, pattern);
  }

  private @Nullable String prefix(String path) {
    for (String prefix : below.keySet()) {
      if (path.startsWith(prefix) && path.length() > prefix.length()) {
        return prefix;
      }
    }
    return null;
  }

  private static String allow(Set<String> methods) {
    Set<String> all = new TreeSet<>(methods);
    if (all.contains("GET")) {
      all.add("HEAD");
    }
    return String.join(", ", all);
  }

  /// Every method and path, for tests: a prefix route with its prefix.
  List<Map.Entry<String, String>> all() {
    List<Map.Entry<String, String>> list = new ArrayList<>();
    exact.forEach((path, methods) -> methods.keySet().forEach(m -> list.add(Map.entry(m, path))));
    below.keySet().forEach(path -> list.add(Map.entry("GET", path)));
    return list;
  }
}
