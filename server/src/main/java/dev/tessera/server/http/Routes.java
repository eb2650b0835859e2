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
    record Found(Route route, String path) implements Match {}

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
    Map<String, Route> methods = exact.get(path);
    if (methods == null) {
      methods = prefixed(path);
    }
    if (methods == null) {
      return new Match.Nothing();
    }
    Route route = methods.get(wanted);
    return route == null
        ? new Match.WrongMethod(allow(methods.keySet()))
        : new Match.Found(route, path);
  }

  private @Nullable Map<String, Route> prefixed(String path) {
    for (var entry : below.entrySet()) {
      if (path.startsWith(entry.getKey()) && path.length() > entry.getKey().length()) {
        return Map.of("GET", entry.getValue());
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
