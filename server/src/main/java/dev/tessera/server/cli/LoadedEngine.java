package dev.tessera.server.cli;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.BackendUnavailableException;
import dev.tessera.kernels.Backends;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.kvcache.KvPolicyParser;
import dev.tessera.kvcache.PolicySetting;
import dev.tessera.kvcache.TileShape;
import dev.tessera.models.Model;
import dev.tessera.models.ModelFormatException;
import dev.tessera.models.Models;
import dev.tessera.models.hub.ModelReference;
import dev.tessera.models.hub.ModelStore;
import dev.tessera.models.template.ChatTemplate;
import dev.tessera.models.template.ChatTemplates;
import dev.tessera.models.template.TemplateException;
import dev.tessera.models.tokenizer.Tokenizer;
import dev.tessera.server.engine.Engine;
import dev.tessera.server.engine.EngineConfig;
import dev.tessera.server.engine.EngineListener;
import dev.tessera.server.engine.EngineLoader;
import dev.tessera.server.http.ServedModel;
import dev.tessera.server.http.Texts;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// A model, the backend that computes it and the engine that runs it, put together as the
/// configuration says. Whatever is wrong with any of them is one clear line.
final class LoadedEngine implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("tessera");

  private final Model model;
  private final Backend backend;
  private final Engine engine;
  private final @Nullable ChatTemplate template;
  private final List<String> names;
  private final long cacheBytes;

  private LoadedEngine(
      Model model,
      Backend backend,
      Engine engine,
      @Nullable ChatTemplate template,
      List<String> names,
      long cacheBytes) {
    this.model = model;
    this.backend = backend;
    this.engine = engine;
    this.template = template;
    this.names = names;
    this.cacheBytes = cacheBytes;
  }

  /// Obtains, opens and loads.
  ///
  /// @throws CommandFailure with what, where, expected and found
  static LoadedEngine load(Configuration configuration, Function<String, EngineListener> listener)
      throws InterruptedException {
    PolicySetting setting = policy(configuration);
    try (var progress = new Progress()) {
      Backends.Choice choice = choose(configuration);
      Model model = null;
      boolean done = false;
      try {
        Path path = obtain(configuration, progress);
        model = Models.open(path);
        LoadedEngine loaded = load(configuration, setting, listener, path, model, choice, progress);
        done = true;
        return loaded;
      } finally {
        if (!done) {
          choice.backend().close();
          if (model != null) {
            model.close();
          }
        }
      }
    } catch (IOException | ModelFormatException e) {
      throw CommandFailure.failed(oneLine(e));
    } catch (BackendUnavailableException | IllegalArgumentException e) {
      throw CommandFailure.failed(oneLine(e));
    }
  }

  private static String oneLine(Exception e) {
    return Texts.printable(e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage());
  }

  /// The model's place on this machine.
  static Path obtain(Configuration configuration, Progress progress)
      throws IOException, InterruptedException {
    String source = configuration.get(Options.MODEL);
    ModelReference reference =
        source.equals(Options.MODEL.absent())
            ? new ModelReference.Default()
            : ModelReference.parse(source);
    return new ModelStore(System.getenv()).obtain(reference, progress::download);
  }

  private static LoadedEngine load(
      Configuration configuration,
      PolicySetting setting,
      Function<String, EngineListener> listener,
      Path path,
      Model model,
      Backends.Choice choice,
      Progress progress)
      throws IOException {
    long memory = configuration.get(Options.KV_MEMORY);
    long cacheBytes =
        memory == 0 ? MachineLimits.detect().defaultCacheBytes(model.fileBytes()) : memory;
    ChatTemplate template = template(configuration, model);
    List<String> names = names(configuration, model, path);
    LOG.log(Level.INFO, "model {0} ({1}), {2}", model.name(), model.description(), path);
    KvPolicy policy =
        KeyLearning.policy(
            setting,
            choice.backend(),
            model,
            path,
            contextTokens(configuration, model),
            progress,
            table -> LOG.log(Level.INFO, "cache policy auto:\n{0}", table));
    EngineConfig config = engineConfig(configuration, policy, model, cacheBytes);
    Engine engine =
        new EngineLoader(
                config,
                choice.backend(),
                new TileDisk(configuration, LOG)::open,
                listener.apply(names.getFirst()),
                progress.share("loading"))
            .load(
                model.spec(),
                model.weights(),
                TileDisk.origin(model, choice.backend()),
                (session, limits) ->
                    KeyLearning.of(
                        policy,
                        choice.backend(),
                        model,
                        path,
                        config.contextTokens(),
                        session,
                        limits,
                        progress),
                model.tokenizer().endOfGeneration());
    if (engine.memory().weightBytes() > 0) {
      model.close(); // the backend has its own copy: the file's pages may go
    }
    return new LoadedEngine(model, choice.backend(), engine, template, names, cacheBytes);
  }

  /// The backend, and once in the log why it is this one.
  static Backends.Choice choose(Configuration configuration) {
    int threads = configuration.get(Options.THREADS);
    Backends.Choice choice =
        Backends.choose(
            requested(configuration),
            new BackendOptions(
                threads == 0 ? MachineLimits.detect().processors() : threads,
                configuration.get(Options.ISA)));
    LOG.log(
        Level.INFO,
        "backend {0}{1}",
        choice.backend().name(),
        choice.passedOver().isEmpty()
            ? ""
            : "; passed over " + String.join("; ", choice.passedOver()));
    return choice;
  }

  /// An instruction set that was asked for is a request for the native kernels: nothing else has
  /// one, and nothing else may stand in for it.
  private static String requested(Configuration configuration) {
    String backend = configuration.get(Options.BACKEND);
    boolean hasIsa = !configuration.get(Options.ISA).equals(Options.ISA.absent());
    if (hasIsa && !backend.equals(Backends.AUTO) && !backend.equals(Backends.NATIVE)) {
      throw CommandFailure.usage(
          "--isa: only %s has instruction sets, and the backend is %s"
              .formatted(Backends.NATIVE, Texts.printable(backend)));
    }
    return hasIsa && backend.equals(Backends.AUTO) ? Backends.NATIVE : backend;
  }

  /// The cache's policy, refused before anything is loaded if it cannot be served.
  private static PolicySetting policy(Configuration configuration) {
    try {
      return KvPolicyParser.parse(configuration.get(Options.KV_POLICY));
    } catch (IllegalArgumentException e) {
      throw CommandFailure.usage(Texts.printable(String.valueOf(e.getMessage())));
    }
  }

  private static int contextTokens(Configuration configuration, Model model) {
    int context = configuration.get(Options.CONTEXT);
    return context == 0 ? model.spec().maxPositions() : context;
  }

  private static EngineConfig engineConfig(
      Configuration configuration, KvPolicy policy, Model model, long cacheBytes) {
    int context = configuration.get(Options.CONTEXT);
    if (context > model.spec().maxPositions()) {
      LOG.log(
          Level.WARNING,
          "the context of {0} tokens is longer than the {1} that the model was made for",
          context,
          model.spec().maxPositions());
    }
    int parallel = configuration.get(Options.PARALLEL);
    long tails = configuration.get(Options.KV_TAILS);
    return new EngineConfig(
        contextTokens(configuration, model),
        parallel,
        configuration.get(Options.MAX_QUEUED_REQUESTS),
        configuration.get(Options.MAX_QUEUED_PROMPT_TOKENS),
        cacheBytes,
        tails == 0 ? EngineConfig.defaultTailBytes(cacheBytes) : tails,
        policy,
        configuration.get(Options.TARGET_STEP_MILLIS),
        configuration.get(Options.STREAM_INTERVAL_MILLIS),
        Math.max(parallel, configuration.get(Options.MAX_STEP_TOKENS)),
        configuration.get(Options.MAX_QUEUED_EVENTS),
        configuration.get(Options.STALL_MILLIS));
  }

  private static @Nullable ChatTemplate template(Configuration configuration, Model model)
      throws IOException {
    String file = configuration.get(Options.CHAT_TEMPLATE);
    if (file.isEmpty()) {
      return model.chatTemplate();
    }
    try {
      Tokenizer tokenizer = model.tokenizer();
      return ChatTemplates.compile(
          Files.readString(Path.of(file)),
          piece(tokenizer, tokenizer.beginOfSequence()),
          piece(tokenizer, tokenizer.endOfSequence()));
    } catch (TemplateException e) {
      throw CommandFailure.failed(
          "%s, line %d: %s".formatted(file, e.line(), Texts.printable(e.getMessage() + "")));
    }
  }

  private static @Nullable String piece(Tokenizer tokenizer, OptionalInt token) {
    return token.isPresent() ? tokenizer.piece(token.getAsInt()) : null;
  }

  private static List<String> names(Configuration configuration, Model model, Path path) {
    List<String> given = configuration.get(Options.SERVED_NAMES);
    if (!given.isEmpty()) {
      return given;
    }
    String file = String.valueOf(path.toAbsolutePath().normalize().getFileName());
    return ModelNames.of(file, model.name(), configuration.get(Options.MODEL));
  }

  Engine engine() {
    return engine;
  }

  Model model() {
    return model;
  }

  String backendName() {
    return backend.name();
  }

  long cacheBytes() {
    return cacheBytes;
  }

  ServedModel served() {
    return new ServedModel(
        names,
        model.tokenizer(),
        template,
        model.samplingDefaults(),
        engine,
        model.spec().vocabulary(),
        TileShape.BLOCK_TOKENS,
        ServedModel.longestToken(model.tokenizer()),
        model.spec().hidden(),
        model.spec().maxPositions(),
        model.parameters(),
        model.fileBytes(),
        model.fingerprint(),
        System.currentTimeMillis() / 1000);
  }

  @Override
  public void close() {
    engine.close();
    backend.close();
    if (engine.memory().weightBytes() == 0) { // else it was closed when they had been packed
      model.close();
    }
  }
}
