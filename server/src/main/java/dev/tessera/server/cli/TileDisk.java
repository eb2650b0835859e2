package dev.tessera.server.cli;

import dev.tessera.kernels.Backend;
import dev.tessera.kvcache.DiskTier;
import dev.tessera.kvcache.Tier;
import dev.tessera.models.Model;
import dev.tessera.models.hub.ModelStore;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// The disk below the cache, as the configuration says.
///
/// @param log told where it is and what goes wrong with it
record TileDisk(Configuration configuration, System.Logger log) {

  /// @param stagingBytes of memory for slabs that wait to be written
  /// @return null where no disk is to be used
  @Nullable Tier open(long stagingBytes) throws IOException {
    long bytes = configuration.get(Options.KV_DISK);
    String directory = configuration.get(Options.KV_DISK_DIRECTORY);
    if (bytes == 0) {
      if (!directory.isEmpty()) {
        throw CommandFailure.usage(
            "kv-cache.disk-directory is set, and kv-cache.disk gives it no bytes (--kv-disk)");
      }
      return null;
    }
    try {
      DiskTier tier =
          directory.isEmpty()
              ? DiskTier.scratch(scratch(), bytes, stagingBytes, this::warn)
              : DiskTier.keep(Path.of(directory), bytes, stagingBytes, this::warn);
      log.log(Level.INFO, "up to {0} MiB of tiles on disk, {1}", bytes >> 20, tier.directory());
      return tier;
    } catch (IOException e) {
      throw new IOException("no tiles on disk: %s (kv-cache.disk-directory)".formatted(e), e);
    }
  }

  private static Path scratch() {
    return new ModelStore(System.getenv()).cache().resolveSibling("tiles");
  }

  private void warn(String message) {
    log.log(Level.WARNING, message);
  }

  /// What the bytes of a tile hang on beside tokens, policy, the formats' versions and the epoch of
  /// what was learned, all of which are in the hash of a block: the model, and the kernels that
  /// computed it, to the last bit. Another build of the same version may round otherwise, or write
  /// other levels under a format's old version, so the build's own content stands for it.
  static byte[] origin(Model model, Backend backend) {
    byte[] fingerprint = model.fingerprint();
    byte[] kernels = (backend.name() + ' ' + Version.text()).getBytes(StandardCharsets.UTF_8);
    byte[] build = BuildHash.of(Backend.class, Model.class);
    return ByteBuffer.allocate(fingerprint.length + kernels.length + build.length)
        .put(fingerprint)
        .put(kernels)
        .put(build)
        .array();
  }
}
