package dev.tessera.server.cli;

import dev.tessera.server.http.Texts;
import java.net.URI;
import java.net.URISyntaxException;

/// The address of a running server as people write it: with or without `/v1`.
final class ServerUrl {
  private ServerUrl() {}

  /// @return scheme, host and port, without `/v1` and without a slash at the end
  /// @throws CommandFailure if the text is not the address of a server
  static String base(String text) {
    String base = text.strip();
    for (String end : new String[] {"/", "/v1", "/"}) {
      base = base.endsWith(end) ? base.substring(0, base.length() - end.length()) : base;
    }
    try {
      URI uri = new URI(base);
      boolean isHttp = "http".equals(uri.getScheme()) || "https".equals(uri.getScheme());
      if (isHttp && uri.getHost() != null && uri.getQuery() == null) {
        return base;
      }
    } catch (URISyntaxException e) {
      // Refused below, like everything else that is no address.
    }
    throw CommandFailure.usage(
        "--url: must be like http://localhost:8000, is '%s'".formatted(Texts.printable(text)));
  }
}
