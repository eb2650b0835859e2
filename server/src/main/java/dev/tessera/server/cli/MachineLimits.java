package dev.tessera.server.cli;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

/// What this process may use: of the machine, or of the cgroup it lives in.
///
/// @param processors that may run at the same time
/// @param memoryBytes that may be taken altogether
record MachineLimits(int processors, long memoryBytes) {
  /// Above this a cgroup's limit means "none".
  private static final long UNLIMITED = 1L << 60;

  static MachineLimits detect() {
    return detect(Path.of("/sys/fs/cgroup"), machineMemory());
  }

  static MachineLimits detect(Path cgroup, long machineMemory) {
    long memory =
        Math.min(
            machineMemory,
            Math.min(
                limit(cgroup.resolve("memory.max")), // version 2
                limit(cgroup.resolve("memory").resolve("memory.limit_in_bytes")))); // version 1
    // The JVM knows the cgroup's share of processors itself.
    return new MachineLimits(Runtime.getRuntime().availableProcessors(), memory);
  }

  private static long machineMemory() {
    var system = ManagementFactory.getOperatingSystemMXBean();
    return system instanceof com.sun.management.OperatingSystemMXBean bean
        ? bean.getTotalMemorySize()
        : 4L << 30;
  }

  private static long limit(Path file) {
    try {
      long bytes = Long.parseLong(Files.readString(file).strip());
      return bytes > 0 && bytes < UNLIMITED ? bytes : Long.MAX_VALUE;
    } catch (IOException | NumberFormatException e) {
      return Long.MAX_VALUE; // no such file, or "max"
    }
  }

  /// A cache that leaves room for the weights, as packed beside the file's pages while it is read,
  /// for the heap and for everybody else: half of what is left, within bounds.
  long defaultCacheBytes(long weightBytes) {
    long reserved = 2 * weightBytes + (1L << 30);
    long half = Math.max(0, memoryBytes - reserved) / 2;
    return Math.clamp(half, 128L << 20, 64L << 30);
  }
}
