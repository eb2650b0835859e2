package dev.tessera.kvcache;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// Slabs in files, each checked by its length, its name and its checksum when it is read. The least
/// recently used go when the budget is used up.
///
/// One thread writes, another one reads. What is offered while the writer is far behind is
/// declined, so that neither memory nor the engine's time goes into a slow disk. A file that is
/// damaged, cut off or somebody else's is as good as none.
public final class DiskTier implements Tier {
  private static final long CLOSE_SECONDS = 10;
  private static final double LATEST_READ_WEIGHT = 0.1;

  private final TierDirectory directory;
  private final long limitBytes;
  private final long stagingBytes;
  private final Consumer<String> warnings;
  private final ExecutorService writer;
  private final ExecutorService reader;

  // All below is guarded by this; nobody touches a file while holding it.
  private final Map<SlabKey, Long> files = new LinkedHashMap<>(64, 0.75f, true); // bytes, by use
  private final Map<SlabKey, MemorySegment> writing = new HashMap<>();
  private final Map<TierStats.Place, Long> slabs = new HashMap<>();
  private long usedBytes;
  private long stagedBytes;
  private long stored;
  private long declined;
  private long fetched;
  private long lost;
  private long damaged;
  private long dropped;
  private double nanosPerByte; // of what was read, the latest counting most; 0 before the first
  private boolean failing; // the last write did
  private boolean closed;

  private DiskTier(
      TierDirectory directory, long limitBytes, long stagingBytes, Consumer<String> warnings)
      throws IOException {
    this.directory = directory;
    this.limitBytes = limitBytes;
    this.stagingBytes = stagingBytes;
    this.warnings = warnings;
    for (TierDirectory.Found found : directory.files()) {
      add(found.key(), found.fileBytes());
    }
    makeRoom(0);
    this.writer = thread("tessera-tier-writer");
    this.reader = thread("tessera-tier-reader");
  }

  private static ExecutorService thread(String name) {
    return Executors.newSingleThreadExecutor(
        task -> Thread.ofPlatform().name(name).daemon().unstarted(task));
  }

  /// A tier in a directory that stays: what lies there already is used.
  ///
  /// @param limitBytes that its files may take
  /// @param stagingBytes of memory for slabs that wait to be written
  /// @param warnings told what an operator should know, by any thread
  /// @throws IOException if the directory is not to be had, saying why
  public static DiskTier keep(
      Path directory, long limitBytes, long stagingBytes, Consumer<String> warnings)
      throws IOException {
    return open(TierDirectory.keep(directory), limitBytes, stagingBytes, warnings);
  }

  /// A tier in a directory of its own that goes when the tier is closed.
  ///
  /// @param parent of the directory
  public static DiskTier scratch(
      Path parent, long limitBytes, long stagingBytes, Consumer<String> warnings)
      throws IOException {
    return open(TierDirectory.scratch(parent), limitBytes, stagingBytes, warnings);
  }

  private static DiskTier open(
      TierDirectory directory, long limitBytes, long stagingBytes, Consumer<String> warnings)
      throws IOException {
    try {
      return new DiskTier(directory, limitBytes, stagingBytes, warnings);
    } catch (IOException e) {
      directory.close();
      throw e;
    }
  }

  /// Where its files lie.
  public Path directory() {
    return directory.path();
  }

  @Override
  public String name() {
    return "disk";
  }

  @Override
  public synchronized boolean holds(SlabKey key) {
    return files.containsKey(key) || writing.containsKey(key);
  }

  @Override
  public boolean store(SlabKey key, long bytes, Consumer<MemorySegment> fill) {
    synchronized (this) {
      if (files.get(key) != null || writing.containsKey(key)) { // asking makes it the latest used
        return true;
      }
      if (closed
          || bytes + SlabFile.HEADER_BYTES > limitBytes
          || stagedBytes + bytes > stagingBytes) {
        declined++;
        return false;
      }
      stagedBytes += bytes;
    }
    MemorySegment copy = memory(bytes);
    fill.accept(copy);
    synchronized (this) {
      writing.put(key, copy);
    }
    writer.execute(() -> write(key, copy));
    return true;
  }

  private static MemorySegment memory(long bytes) {
    return MemorySegment.ofArray(new byte[Math.toIntExact(bytes)]);
  }

  private void write(SlabKey key, MemorySegment slab) {
    long fileBytes = SlabFile.HEADER_BYTES + slab.byteSize();
    boolean isWritten = false;
    try {
      makeRoom(fileBytes);
      SlabFile.write(directory.file(key), directory.part(), key, slab);
      isWritten = true;
    } catch (IOException | RuntimeException e) {
      report(e);
    }
    synchronized (this) {
      writing.remove(key);
      stagedBytes -= slab.byteSize();
      failing = !isWritten;
      if (isWritten) {
        stored++;
        add(key, fileBytes);
      } else {
        declined++;
      }
      notifyAll();
    }
  }

  @Override
  public synchronized boolean awaitRoom(long bytes, long nanos) throws InterruptedException {
    long end = System.nanoTime() + nanos;
    while (!closed && stagedBytes > 0 && stagedBytes + bytes > stagingBytes) {
      long left = end - System.nanoTime();
      if (left <= 0) {
        return false;
      }
      TimeUnit.NANOSECONDS.timedWait(this, left);
    }
    return !closed && !failing;
  }

  @Override
  public synchronized double fetchNanos(long bytes) {
    return bytes * nanosPerByte;
  }

  @Override
  public boolean isLasting() {
    return !directory.isScratch();
  }

  /// Says once that writing fails, until it has worked again.
  private void report(Exception e) {
    boolean isNew;
    synchronized (this) {
      isNew = !failing;
    }
    if (isNew) {
      warnings.accept(
          "slabs cannot be written to %s and will be computed again: %s (kv-cache.disk-directory)"
              .formatted(directory.path(), e));
    }
  }

  private synchronized void add(SlabKey key, long fileBytes) {
    files.put(key, fileBytes);
    usedBytes += fileBytes;
    slabs.merge(new TierStats.Place(key.group(), key.form()), 1L, Long::sum);
  }

  private synchronized boolean remove(SlabKey key) {
    Long fileBytes = files.remove(key);
    if (fileBytes == null) {
      return false;
    }
    usedBytes -= fileBytes;
    slabs.merge(new TierStats.Place(key.group(), key.form()), -1L, Long::sum);
    return true;
  }

  /// Gives up the least recently used files until `bytes` more fit.
  private void makeRoom(long bytes) throws IOException {
    for (SlabKey eldest = eldest(bytes); eldest != null; eldest = eldest(bytes)) {
      Files.deleteIfExists(directory.file(eldest));
    }
  }

  private synchronized @Nullable SlabKey eldest(long bytes) {
    Iterator<SlabKey> keys = files.keySet().iterator();
    if (usedBytes + bytes <= limitBytes || !keys.hasNext()) {
      return null;
    }
    SlabKey eldest = keys.next();
    remove(eldest);
    dropped++;
    return eldest;
  }

  @Override
  public Fetch fetch(SlabKey key, long bytes) {
    Fetch fetch = new Fetch();
    synchronized (this) {
      MemorySegment staged = writing.get(key);
      if (staged != null && staged.byteSize() == bytes) {
        fetched++;
        fetch.complete(staged.asReadOnly());
        return fetch;
      }
      if (closed || files.get(key) == null) {
        lost++;
        fetch.complete(null);
        return fetch;
      }
    }
    reader.execute(() -> fetch.complete(read(key, bytes)));
    return fetch;
  }

  private @Nullable MemorySegment read(SlabKey key, long bytes) {
    try {
      long start = System.nanoTime();
      MemorySegment slab = memory(bytes);
      SlabFile.read(directory.file(key), key, slab);
      double taken = (double) (System.nanoTime() - start) / bytes;
      directory.touch(key);
      synchronized (this) {
        nanosPerByte += (taken - nanosPerByte) * (nanosPerByte == 0 ? 1 : LATEST_READ_WEIGHT);
        fetched++;
      }
      return slab;
    } catch (IOException | RuntimeException e) {
      forget(key, e);
      return null;
    }
  }

  private void forget(SlabKey key, Exception cause) {
    boolean wasHere = remove(key);
    boolean isGone = cause instanceof NoSuchFileException;
    synchronized (this) {
      lost += isGone ? 1 : 0;
      damaged += isGone ? 0 : 1;
    }
    if (wasHere || !isGone) {
      warnings.accept("a slab is lost and will be computed again: " + cause);
    }
    try {
      Files.deleteIfExists(directory.file(key));
    } catch (IOException e) {
      // Then it stays, and is found damaged again, or gets written anew.
    }
  }

  /// Waits until all that was stored is written.
  void flush() throws InterruptedException, ExecutionException {
    Object ignored = writer.submit(() -> {}).get();
  }

  @Override
  public synchronized TierStats stats() {
    return new TierStats(
        name(),
        Map.copyOf(slabs),
        usedBytes,
        limitBytes,
        stored,
        declined,
        fetched,
        lost,
        damaged,
        dropped);
  }

  /// Writes what is still to be written, for a directory that stays, and lets go of the directory.
  @Override
  public void close() {
    synchronized (this) {
      if (closed) {
        return;
      }
      closed = true;
    }
    writer.shutdown();
    reader.shutdown();
    try {
      if (!writer.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS)
          || !reader.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS)) {
        warnings.accept(directory.path() + " answers too slowly to be waited for");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    try {
      directory.close();
    } catch (IOException e) {
      warnings.accept("%s could not be tidied: %s".formatted(directory.path(), e));
    }
  }
}
