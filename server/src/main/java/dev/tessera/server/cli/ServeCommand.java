package dev.tessera.server.cli;

import dev.tessera.server.engine.MemoryPlan;
import dev.tessera.server.http.ApiServer;
import dev.tessera.server.http.HttpSettings;
import dev.tessera.server.http.Texts;
import dev.tessera.server.metrics.ServerMetrics;
import java.io.UncheckedIOException;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;

/// `tessera serve`: listens at once, loads in the meantime, and answers until SIGTERM.
@Command(name = "serve", description = "Serves a model over HTTP.")
final class ServeCommand extends ConfiguredCommand {
  private static final System.Logger LOG = System.getLogger("tessera");

  /// Time for the last bytes of finished answers to leave.
  private static final Duration LAST_BYTES = Duration.ofSeconds(2);

  /// Time for tiles to reach a directory that is kept, and for one that is not to go.
  private static final Duration LAST_TILES = Duration.ofSeconds(15);

  private volatile @Nullable LoadedEngine loaded;
  private volatile boolean ended;

  @Override
  List<Option<?>> options() {
    return Options.ALL;
  }

  @Override
  String usualLogLevel() {
    return Options.LOG_LEVEL.absent();
  }

  @Override
  int run(Configuration configuration) throws InterruptedException {
    HttpSettings settings = Settings.http(configuration);
    var metrics = new ServerMetrics();
    var failure = new CountDownLatch(1);
    ApiServer server = listen(settings, metrics);
    Thread hook =
        Thread.ofPlatform().unstarted(() -> stop(server, configuration.get(Options.DRAIN)));
    Runtime.getRuntime().addShutdownHook(hook);
    try {
      LOG.log(Level.INFO, "listening on {0}, loading the model", url(settings, server));
      LoadedEngine engine =
          LoadedEngine.load(configuration, name -> metrics.listener(name, failure::countDown));
      loaded = engine;
      server.ready(engine.served());
      announce(settings, server, engine);
      failure.await();
      throw CommandFailure.failed("the engine has failed; the log says why");
    } catch (CommandFailure e) {
      ended = true;
      server.close();
      throw e;
    }
  }

  private static ApiServer listen(HttpSettings settings, ServerMetrics metrics) {
    try {
      return ApiServer.start(settings, metrics, Version.text());
    } catch (UncheckedIOException | IllegalArgumentException | IllegalStateException e) {
      throw CommandFailure.failed(Texts.printable(String.valueOf(e.getMessage())));
    }
  }

  private static String url(HttpSettings settings, ApiServer server) {
    String host = settings.host().contains(":") ? "[" + settings.host() + "]" : settings.host();
    return "http://" + host + ":" + server.port() + "/v1";
  }

  private static void announce(HttpSettings settings, ApiServer server, LoadedEngine engine) {
    MemoryPlan memory = engine.engine().memory();
    long file = engine.model().fileBytes();
    LOG.log(
        Level.INFO,
        "memory: weights {0} as packed (file {1}, {2}), KV-cache {3}: scratch {4}, codes {5},"
            + " tables {6}, tiles {7} for {8} tokens",
        ByteSize.format(memory.weightBytes()),
        ByteSize.format(file),
        String.format(Locale.ROOT, "%+.1f %%", 100.0 * (memory.weightBytes() - file) / file),
        ByteSize.format(engine.cacheBytes()),
        ByteSize.format(memory.scratchBytes()),
        ByteSize.format(memory.codeBytes()),
        ByteSize.format(memory.tableBytes()),
        ByteSize.format(memory.tileBytes()),
        engine.engine().cacheTokens());
    LOG.log(
        Level.INFO,
        "context {0} tokens, cache policy {1}",
        Integer.toString(engine.engine().contextTokens()),
        engine.engine().policy());
    LOG.log(
        Level.INFO,
        "ready after {0} s: {1} on {2}{3}",
        String.format(
            Locale.ROOT,
            "%.1f",
            java.lang.management.ManagementFactory.getRuntimeMXBean().getUptime() / 1e3),
        engine.served().names().getFirst(),
        url(settings, server),
        settings.apiKeys().isEmpty() && !settings.host().equals("127.0.0.1")
            ? " (no --api-key: whoever reaches this address may ask)"
            : "");
  }

  /// Runs when the process is told to stop: refuses new work, lets running work finish, ends.
  private void stop(ApiServer server, Duration limit) {
    if (ended) {
      return;
    }
    int code = 0;
    try {
      server.drain();
      LoadedEngine engine = loaded;
      if (engine != null) {
        say("stopping; running requests have " + limit.toSeconds() + " s");
        if (!engine.engine().drain(limit)) {
          say("some requests were cut off");
        }
        server.awaitAnswers(LAST_BYTES);
      }
      server.close();
      if (engine != null && !Thread.ofPlatform().daemon().start(engine::close).join(LAST_TILES)) {
        say("the engine takes too long to end");
      }
    } catch (InterruptedException | RuntimeException e) {
      say("the stop did not go well: " + e);
      code = 1;
    }
    // Ends with our own code: the JVM's would be that of the signal.
    Runtime.getRuntime().halt(code);
  }

  /// The log manager has a shutdown hook too, and what is logged after it is lost.
  private static void say(String line) {
    System.err.println("tessera: " + line);
  }
}
