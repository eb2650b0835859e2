package dev.tessera.kvcache;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// A directory of slab files that one process uses at a time, and nobody but its user may read.
///
/// A *scratch* directory is this process's own and goes with it; what a killed process has left is
/// taken away by the next one. A *kept* one stays, so that a later process finds in it what this
/// one has computed. Files in it that are no slab files are left alone.
final class TierDirectory implements AutoCloseable {
  private static final String LOCK = "lock";
  private static final String SUFFIX = ".slab";
  private static final String PART = "part";
  private static final String SCRATCH = "scratch-";

  private final Path path;
  private final boolean isScratch;
  private final FileChannel lock;

  /// A slab file that was there before.
  record Found(SlabKey key, long fileBytes, long modified) {}

  private TierDirectory(Path path, boolean isScratch, FileChannel lock) {
    this.path = path;
    this.isScratch = isScratch;
    this.lock = lock;
  }

  /// Opens a directory that is kept.
  ///
  /// @throws IOException if another process uses it, or if it cannot be made or written
  static TierDirectory keep(Path path) throws IOException {
    Files.createDirectories(path, SlabFile.privately("rwx------"));
    FileChannel lock = lock(path);
    if (lock == null) {
      throw new IOException(path + " is in use by another process");
    }
    return new TierDirectory(path, false, lock);
  }

  /// Makes a directory of this process's own.
  ///
  /// @param parent of it; directories in it that dead processes have left are removed
  static TierDirectory scratch(Path parent) throws IOException {
    Files.createDirectories(parent, SlabFile.privately("rwx------"));
    try (DirectoryStream<Path> left = Files.newDirectoryStream(parent, SCRATCH + "*")) {
      for (Path old : left) {
        removeIfDead(old);
      }
    }
    Path path = Files.createTempDirectory(parent, SCRATCH, SlabFile.privately("rwx------"));
    FileChannel lock = lock(path);
    if (lock == null) {
      throw new IOException(path + " was taken by another process");
    }
    return new TierDirectory(path, true, lock);
  }

  private static void removeIfDead(Path scratch) {
    try {
      FileChannel lock = Files.exists(scratch.resolve(LOCK)) ? lock(scratch) : null;
      if (lock != null) {
        new TierDirectory(scratch, true, lock).close();
      }
    } catch (IOException e) {
      // It is not ours to remove: then it stays.
    }
  }

  /// The lock of a directory, or null if somebody else has it.
  private static @Nullable FileChannel lock(Path directory) throws IOException {
    FileChannel channel =
        FileChannel.open(
            directory.resolve(LOCK),
            Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE),
            SlabFile.privately("rw-------"));
    try {
      FileLock lock = channel.tryLock();
      if (lock != null) {
        return channel;
      }
    } catch (OverlappingFileLockException e) {
      // This very process has it.
    } catch (IOException e) {
      channel.close();
      throw e;
    }
    channel.close();
    return null;
  }

  boolean isScratch() {
    return isScratch;
  }

  Path path() {
    return path;
  }

  Path file(SlabKey key) {
    return path.resolve(key.text() + SUFFIX);
  }

  /// Counts a file as used just now, for the next process too.
  void touch(SlabKey key) {
    if (isScratch) {
      return;
    }
    try {
      Files.setLastModifiedTime(file(key), FileTime.fromMillis(System.currentTimeMillis()));
    } catch (IOException e) {
      // Then it goes sooner than it might.
    }
  }

  /// Where a file lies until it is whole.
  Path part() {
    return path.resolve(PART);
  }

  /// What lies in it, the least recently used first.
  List<Found> files() throws IOException {
    List<Found> found = new ArrayList<>();
    try (DirectoryStream<Path> files = Files.newDirectoryStream(path, "*" + SUFFIX)) {
      for (Path file : files) {
        String name = String.valueOf(file.getFileName());
        SlabKey key = SlabKey.parse(name.substring(0, name.length() - SUFFIX.length()));
        if (key != null) {
          found.add(new Found(key, Files.size(file), Files.getLastModifiedTime(file).toMillis()));
        }
      }
    }
    found.sort(Comparator.comparingLong(Found::modified));
    return found;
  }

  /// Lets go of the directory, and takes a scratch one away.
  @Override
  public void close() throws IOException {
    try (lock) {
      Files.deleteIfExists(part());
      if (isScratch) {
        for (Found found : files()) {
          Files.deleteIfExists(file(found.key));
        }
        Files.deleteIfExists(path.resolve(LOCK));
        Files.deleteIfExists(path);
      }
    }
  }
}
