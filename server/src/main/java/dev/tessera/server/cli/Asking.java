package dev.tessera.server.cli;

import dev.tessera.server.cli.ChatClient.Message;
import dev.tessera.server.cli.ChatClient.Wishes;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/// The flags of commands that ask a model something, and whom they ask: a server that a flag names,
/// or a model in this process.
final class Asking {
  @Option(
      names = "--url",
      paramLabel = "URL",
      description = "Ask a running server instead of loading a model here")
  private @Nullable String url;

  @Option(names = "--url-key", paramLabel = "KEY", description = "API key for --url")
  private @Nullable String key;

  @Option(names = "--system", paramLabel = "TEXT", description = "System message")
  private @Nullable String system;

  @Option(names = "--max-tokens", paramLabel = "COUNT", description = "Length of an answer at most")
  private @Nullable Integer maxTokens;

  @Option(
      names = "--temperature",
      paramLabel = "NUMBER",
      description =
          "0 for the likeliest answer (default: the server's; for a model loaded here its own"
              + " recommendation, else 0.7)")
  private @Nullable Double temperature;

  @Option(names = "--seed", paramLabel = "NUMBER", description = "Makes an answer repeatable")
  private @Nullable Long seed;

  /// Where neither the caller nor the model says: OpenAI's 1 lets small models wander.
  private static final double CALM_TEMPERATURE = 0.7;

  /// Work with a client.
  interface Work {
    int run(ChatClient client) throws IOException, InterruptedException;
  }

  int with(Configuration configuration, Work work) throws IOException, InterruptedException {
    if (url != null) {
      try (var client = new ChatClient(url, key)) {
        return work.run(client);
      }
    }
    try (LocalServer server = LocalServer.start(configuration);
        var client = new ChatClient(server.url(), server.key())) {
      if (temperature == null && server.engine().model().samplingDefaults().temperature() == null) {
        temperature = CALM_TEMPERATURE;
      }
      return work.run(client);
    }
  }

  Wishes wishes() {
    return new Wishes(maxTokens, temperature, seed);
  }

  /// A conversation that begins with a user's text.
  List<Message> conversation(@Nullable String first) {
    List<Message> messages = new ArrayList<>();
    if (system != null) {
      messages.add(new Message("system", system));
    }
    if (first != null) {
      messages.add(new Message("user", first));
    }
    return messages;
  }
}
