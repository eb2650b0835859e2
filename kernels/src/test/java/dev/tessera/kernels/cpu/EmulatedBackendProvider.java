package dev.tessera.kernels.cpu;

import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.BackendProvider;
import java.io.IOException;
import java.io.UncheckedIOException;

/// The native backend with its AVX-512 kernels on emulated instructions, so that they are tested on
/// machines that lack them.
public final class EmulatedBackendProvider implements BackendProvider {

  static final String LIBRARY = "libtessera-emulated";

  @Override
  public String name() {
    return NativeBackendProvider.NAME + "-emulated";
  }

  @Override
  public Availability open(BackendOptions options) {
    if (!NativeLibrary.exists(LIBRARY)) {
      return new Availability.Unavailable("built without a C compiler for this system");
    }
    try {
      NativeLibrary library = NativeLibrary.load(LIBRARY);
      if (library.best() == Isa.PORTABLE) {
        return new Availability.Unavailable("the emulation needs AVX2");
      }
      return new Availability.Ready(
          new NativeBackend(library.kernels(Isa.AVX512, "emulated"), options.threads()));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
