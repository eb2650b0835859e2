package dev.tessera.models.hub;

/// Hears how far a download is.
@FunctionalInterface
public interface DownloadProgress {

  /// Does not listen.
  DownloadProgress NONE = (what, done, total) -> {};

  /// @param what the file
  /// @param done bytes that are here
  /// @param total bytes in all, or -1 where nobody knows
  void update(String what, long done, long total);
}
