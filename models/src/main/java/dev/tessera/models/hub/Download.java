package dev.tessera.models.hub;

import dev.tessera.models.hub.HubClient.Answer;
import dev.tessera.models.hub.HubClient.RemoteFile;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.http.HttpResponse;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/// Brings one file of the hub here.
///
/// The bytes gather in `<file>.part`, which survives a cut and is continued; the file appears under
/// its name only when its size and checksum are right. A lock beside it keeps two processes from
/// fetching it at once.
final class Download {
  private static final int ATTEMPTS = 4;

  /// A file lock is the process's, so the threads of a process need another one.
  private static final ReentrantLock IN_PROCESS = new ReentrantLock();

  private final HubClient hub;
  private final Duration patience;
  private final DownloadProgress progress;

  /// @param patience how long to wait for more bytes
  Download(HubClient hub, Duration patience, DownloadProgress progress) {
    this.hub = hub;
    this.patience = patience;
    this.progress = progress;
  }

  /// Fetches the file unless it is there.
  ///
  /// @throws ModelUnavailableException if it cannot be had or has another checksum
  void fetch(String repository, RemoteFile listed, Path target)
      throws IOException, InterruptedException {
    Files.createDirectories(target.toAbsolutePath().getParent());
    IN_PROCESS.lockInterruptibly();
    try (FileChannel channel =
            FileChannel.open(
                sibling(target, ".lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        FileLock lock = channel.lock()) {
      if (!lock.isValid() || Files.exists(target)) {
        return;
      }
      Path part = sibling(target, ".part");
      RemoteFile file = listed;
      requireRoom(file, part);
      for (int attempt = 1; !isComplete(part, file); attempt++) {
        try {
          Answer answer = hub.open(repository, file.path(), sizeOf(part));
          if (file.checksum() == null) {
            file = new RemoteFile(file.path(), file.size(), answer.linked());
          }
          append(answer.response(), file, part);
        } catch (ModelUnavailableException e) {
          throw e;
        } catch (IOException e) {
          if (attempt == ATTEMPTS) {
            throw new ModelUnavailableException(
                "%s broke off %d times, last at %,d of %,d bytes: %s; start again to continue"
                    .formatted(file.path(), attempt, sizeOf(part), file.size(), e.getMessage()));
          }
        }
      }
      Files.move(part, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      IN_PROCESS.unlock();
    }
  }

  private static Path sibling(Path target, String suffix) {
    return target.resolveSibling(target.getFileName() + suffix);
  }

  private static long sizeOf(Path file) throws IOException {
    return Files.exists(file) ? Files.size(file) : 0;
  }

  private static void requireRoom(RemoteFile file, Path part) throws IOException {
    // Not by way of Files.getFileStore, which fails where a root is no mount point (chroot).
    long room = part.toAbsolutePath().resolveSibling("").toFile().getUsableSpace();
    long missing = file.size() - sizeOf(part);
    if (room > 0 && room < missing) { // 0 also means unknown
      throw new ModelUnavailableException(
          "%s needs %,d more bytes on disk; %,d are free (TESSERA_CACHE names another place)"
              .formatted(file.path(), missing, room));
    }
  }

  /// Whether all bytes are here. A complete part with a wrong checksum is thrown away.
  private static boolean isComplete(Path part, RemoteFile file) throws IOException {
    if (!Files.exists(part) || Files.size(part) < file.size()) {
      return false;
    }
    @Nullable Checksum checksum = file.checksum();
    if (Files.size(part) == file.size() && (checksum == null || checksum.matches(part))) {
      return true;
    }
    Files.delete(part);
    throw new ModelUnavailableException(
        "%s has another size or checksum than the hub states".formatted(file.path()));
  }

  private void append(HttpResponse<InputStream> response, RemoteFile file, Path part)
      throws IOException {
    long have = sizeOf(part);
    if (response.statusCode() == 416 || have > 0 && !startsAt(response, have)) {
      if (response.statusCode() != 200) {
        response.body().close();
        Files.delete(part);
        throw new IOException("the hub does not continue where we stopped");
      }
      have = 0;
    }
    StandardOpenOption mode =
        have > 0 ? StandardOpenOption.APPEND : StandardOpenOption.TRUNCATE_EXISTING;
    try (InputStream body = response.body();
        OutputStream out =
            Files.newOutputStream(part, StandardOpenOption.CREATE, StandardOpenOption.WRITE, mode);
        var watchdog = new Watchdog(body, patience)) {
      byte[] buffer = new byte[1 << 17];
      long done = have;
      for (int count = body.read(buffer); count >= 0; count = body.read(buffer)) {
        watchdog.touch();
        done += count;
        if (done > file.size()) {
          throw new ModelUnavailableException(
              "%s is longer than the %,d bytes that the hub states"
                  .formatted(file.path(), file.size()));
        }
        out.write(buffer, 0, count);
        progress.update(file.path(), done, file.size());
      }
      if (done < file.size()) {
        throw new IOException("the connection ended");
      }
    }
  }

  private static boolean startsAt(HttpResponse<?> response, long from) {
    return response.statusCode() == 206
        && response
            .headers()
            .firstValue("Content-Range")
            .map(range -> range.startsWith("bytes " + from + "-"))
            .orElse(false);
  }

  /// Closes a stream from which nothing has come for too long, so that its reader wakes up.
  private static final class Watchdog implements AutoCloseable {
    private final AtomicLong lastTouch = new AtomicLong(System.nanoTime());
    private final Thread thread;

    Watchdog(InputStream stream, Duration patience) {
      thread = Thread.ofVirtual().name("download-watchdog").start(() -> watch(stream, patience));
    }

    void touch() {
      lastTouch.set(System.nanoTime());
    }

    private void watch(InputStream stream, Duration patience) {
      try {
        while (true) {
          long idle = System.nanoTime() - lastTouch.get();
          long left = patience.toNanos() - idle;
          if (left <= 0) {
            stream.close();
            return;
          }
          Thread.sleep(Duration.ofNanos(left));
        }
      } catch (InterruptedException | IOException e) {
        // The download is over, or the stream closed already.
        return;
      }
    }

    @Override
    public void close() {
      thread.interrupt();
    }
  }
}
