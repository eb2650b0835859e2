package dev.tessera.server.cli;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/// Under which names a model is served where nobody says: the file's, first without what it says of
/// the weights' type; then what the model calls itself, and what it was asked for by.
final class ModelNames {
  private ModelNames() {}

  /// @param file the last part of the path, for example `SmolLM2-135M-Instruct.Q4_1.gguf`
  /// @param own the model's name for itself
  /// @param source `--model`
  static List<String> of(String file, String own, String source) {
    String base =
        file.toLowerCase(Locale.ROOT).endsWith(".gguf")
            ? file.substring(0, file.length() - ".gguf".length())
            : file;
    Set<String> names = new LinkedHashSet<>();
    names.add(withoutType(base));
    names.add(base);
    names.add(own);
    names.add(file);
    if (!source.equals(Options.MODEL.absent())) {
      names.add(source);
    }
    names.removeIf(String::isBlank);
    return new ArrayList<>(names);
  }

  /// Drops a last part such as `.Q4_1`, `-Q4_K_M` or `.f16`.
  private static String withoutType(String base) {
    int cut = Math.max(base.lastIndexOf('.'), base.lastIndexOf('-'));
    if (cut <= 0) {
      return base;
    }
    String last = base.substring(cut + 1).toUpperCase(Locale.ROOT);
    boolean isType =
        last.startsWith("IQ")
            || last.equals("F16")
            || last.equals("F32")
            || last.equals("BF16")
            || (last.length() > 1 && last.charAt(0) == 'Q' && Character.isDigit(last.charAt(1)));
    return isType ? base.substring(0, cut) : base;
  }
}
