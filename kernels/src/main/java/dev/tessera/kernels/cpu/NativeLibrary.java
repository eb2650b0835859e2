package dev.tessera.kernels.cpu;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/// The functions of the C library that do not depend on the instruction set. Addresses are longs.
///
/// The library travels as a resource beside this class; it is loaded from a private file that is
/// deleted at once.
final class NativeLibrary {

  /// The library of the product. Tests bring another one, with AVX-512 emulated.
  static final String PRODUCT = "libtessera";

  private static final Map<String, NativeLibrary> LOADED = new HashMap<>();

  private final SymbolLookup symbols;
  private final MethodHandle cpuLevel;
  private final MethodHandle panelBytes;
  private final MethodHandle reserve;
  private final MethodHandle discard;
  private final MethodHandle release;

  private NativeLibrary(SymbolLookup symbols) {
    this.symbols = symbols;
    cpuLevel = function("ts_cpu_level", FunctionDescriptor.of(JAVA_INT));
    panelBytes = function("ts_panel_bytes", returning(JAVA_LONG, JAVA_INT, JAVA_LONG));
    reserve = function("ts_memory_reserve", returning(JAVA_LONG, JAVA_LONG));
    discard = function("ts_memory_discard", FunctionDescriptor.ofVoid(JAVA_LONG, JAVA_LONG));
    release = function("ts_memory_release", FunctionDescriptor.ofVoid(JAVA_LONG, JAVA_LONG));
  }

  /// Whether the build produced the library for this system.
  static boolean exists(String name) {
    return NativeLibrary.class.getResource(resource(name)) != null;
  }

  /// Loads a library, once in the life of the process.
  ///
  /// @throws IOException if the library cannot be written to a temporary file
  /// @throws IllegalArgumentException if the system refuses to load it
  static synchronized NativeLibrary load(String name) throws IOException {
    NativeLibrary library = LOADED.get(name);
    if (library == null) {
      library = extract(name);
      LOADED.put(name, library);
    }
    return library;
  }

  private static NativeLibrary extract(String name) throws IOException {
    Path folder = Files.createTempDirectory("tessera-"); // readable by this user alone
    Path file = folder.resolve(name + ".so");
    try (InputStream in = NativeLibrary.class.getResourceAsStream(resource(name))) {
      if (in == null) {
        throw new IOException("no resource " + resource(name));
      }
      Files.copy(in, file);
      return new NativeLibrary(SymbolLookup.libraryLookup(file, Arena.global()));
    } finally {
      Files.deleteIfExists(file);
      Files.deleteIfExists(folder);
    }
  }

  private static String resource(String name) {
    boolean isMac = System.getProperty("os.name").startsWith("Mac");
    String system =
        isMac ? "darwin" : System.getProperty("os.name").toLowerCase(Locale.ROOT).replace(' ', '-');
    String machine =
        switch (System.getProperty("os.arch")) {
          case "amd64" -> "x86_64";
          case "aarch64" -> isMac ? "arm64" : "aarch64";
          case String other -> other;
        };
    return name + "-" + system + "-" + machine + ".so";
  }

  static FunctionDescriptor returning(MemoryLayout result, MemoryLayout... parameters) {
    return FunctionDescriptor.of(result, parameters);
  }

  /// A function that every build of the library has.
  MethodHandle function(String name, FunctionDescriptor descriptor) {
    return Linker.nativeLinker()
        .downcallHandle(
            symbols
                .find(name)
                .orElseThrow(() -> new IllegalStateException("the library lacks " + name)),
            descriptor);
  }

  /// Whether the library was compiled for an instruction set.
  boolean has(Isa isa) {
    return symbols.find("ts_step_" + isa.label()).isPresent();
  }

  /// The most that this CPU can run.
  Isa best() {
    return Isa.ofLevel(callInt(cpuLevel));
  }

  /// Bytes of a packed panel of 32 rows, or -1 where the kind cannot have rows of that length.
  long panelBytes(int kind, long columns) {
    try {
      return (long) panelBytes.invokeExact(kind, columns);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /// Zeroed memory, taken page by page when it is first written.
  ///
  /// @throws IllegalStateException if the system refuses
  long reserve(long bytes, String what) {
    long address;
    try {
      address = (long) reserve.invokeExact(bytes);
    } catch (Throwable e) {
      throw unexpected(e);
    }
    if (address == 0) {
      throw new IllegalStateException(
          "the system refuses to reserve %,d bytes for %s".formatted(bytes, what));
    }
    return address;
  }

  void discard(long address, long bytes) {
    try {
      discard.invokeExact(address, bytes);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  void release(long address, long bytes) {
    try {
      release.invokeExact(address, bytes);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  private static int callInt(MethodHandle handle) {
    try {
      return (int) handle.invokeExact();
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /// A downcall throws nothing of its own: what comes is an error of the virtual machine.
  static RuntimeException unexpected(Throwable e) {
    if (e instanceof Error error) {
      throw error;
    }
    return e instanceof RuntimeException runtime ? runtime : new IllegalStateException(e);
  }

  /// The functions of one instruction set.
  Kernels kernels(Isa isa) {
    return kernels(isa, isa.label());
  }

  /// The functions whose names end in `suffix`, which behave like those of an instruction set.
  Kernels kernels(Isa isa, String suffix) {
    return new Kernels(this, isa, suffix);
  }

  /// The functions that exist once for each instruction set.
  static final class Kernels {

    final NativeLibrary library;
    final Isa isa;
    private final String suffix;
    private final MethodHandle step;
    private final MethodHandle attend;
    private final MethodHandle multiply;
    private final MethodHandle rmsNorm;
    private final MethodHandle argMax;
    private final MethodHandle sumWeights;
    private final MethodHandle countAbove;
    private final MethodHandle collect;

    private Kernels(NativeLibrary library, Isa isa, String suffix) {
      this.library = library;
      this.isa = isa;
      this.suffix = suffix;
      step = function("step", returning(JAVA_INT, JAVA_LONG, JAVA_INT));
      attend = function("attend", returning(JAVA_INT, JAVA_LONG, JAVA_INT));
      multiply =
          function(
              "multiply",
              returning(
                  JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT,
                  JAVA_LONG));
      rmsNorm =
          function(
              "rms_norm",
              returning(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_FLOAT, JAVA_LONG));
      argMax = function("arg_max", returning(JAVA_INT, JAVA_LONG, JAVA_INT));
      sumWeights =
          function(
              "sum_weights",
              FunctionDescriptor.ofVoid(
                  JAVA_LONG, JAVA_INT, JAVA_FLOAT, JAVA_DOUBLE, JAVA_INT, JAVA_LONG));
      countAbove = function("count_above", returning(JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_FLOAT));
      collect =
          function("collect", returning(JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_FLOAT, JAVA_LONG));
    }

    private MethodHandle function(String name, FunctionDescriptor descriptor) {
      return library.function("ts_" + name + "_" + suffix, descriptor);
    }

    /// One worker's share of a step. False if another worker failed.
    boolean step(long decoder, int worker) {
      try {
        return (int) step.invokeExact(decoder, worker) == 0;
      } catch (Throwable e) {
        throw unexpected(e);
      }
    }

    /// One worker's share of the store and the attention of layer 0.
    boolean attend(long decoder, int worker) {
      try {
        return (int) attend.invokeExact(decoder, worker) == 0;
      } catch (Throwable e) {
        throw unexpected(e);
      }
    }

    void multiply(int kind, int rows, int columns, long source, long x, int tokens, long y) {
      int status;
      try {
        status = (int) multiply.invokeExact(kind, rows, columns, source, x, tokens, y);
      } catch (Throwable e) {
        throw unexpected(e);
      }
      requireMemory(status, "a matrix product");
    }

    void rmsNorm(long x, long weight, int rows, int width, float epsilon, long y) {
      int status;
      try {
        status = (int) rmsNorm.invokeExact(x, weight, rows, width, epsilon, y);
      } catch (Throwable e) {
        throw unexpected(e);
      }
      requireMemory(status, "a norm");
    }

    private static void requireMemory(int status, String what) {
      if (status != 0) {
        throw new IllegalStateException("the system refuses memory for " + what);
      }
    }

    int argMax(long row, int size) {
      try {
        return (int) argMax.invokeExact(row, size);
      } catch (Throwable e) {
        throw unexpected(e);
      }
    }

    void sumWeights(long row, int size, float max, double temperature, int chunk, long sums) {
      try {
        sumWeights.invokeExact(row, size, max, temperature, chunk, sums);
      } catch (Throwable e) {
        throw unexpected(e);
      }
    }

    int countAbove(long row, int size, float limit) {
      try {
        return (int) countAbove.invokeExact(row, size, limit);
      } catch (Throwable e) {
        throw unexpected(e);
      }
    }

    int collect(long row, int size, float threshold, long indices) {
      try {
        return (int) collect.invokeExact(row, size, threshold, indices);
      } catch (Throwable e) {
        throw unexpected(e);
      }
    }
  }
}
