package dev.tessera.kernels.cpu;

/// The instruction sets that the C kernels are compiled for, from the least to the most.
enum Isa {
  PORTABLE,
  AVX2,
  AVX512;

  /// What `ts_cpu_level` answers.
  static Isa ofLevel(int level) {
    return switch (level) {
      case 2 -> AVX512;
      case 1 -> AVX2;
      default -> PORTABLE;
    };
  }

  /// The name in options, logs and the functions of the library.
  String label() {
    return name().toLowerCase(java.util.Locale.ROOT);
  }
}
