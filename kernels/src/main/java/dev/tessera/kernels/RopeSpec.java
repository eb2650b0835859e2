package dev.tessera.kernels;

/// Rotary position embedding of one layer kind (Su et al., 2021), with any frequency scaling
/// already applied by the model.
///
/// @param pairing which elements of a head turn together
/// @param frequencies radians per position of each pair, `[rotaryDim / 2]`; the other elements of
///   the head stay as they are
/// @param magnitude factor on the rotated elements (YaRN's attention factor); 1 otherwise
public record RopeSpec(Pairing pairing, double[] frequencies, float magnitude) {

  /// Which elements turn together.
  public enum Pairing {
    /// `(2i, 2i + 1)`: the order of Llama weights in GGUF files.
    INTERLEAVED,
    /// `(i, i + rotaryDim / 2)`: the order of Hugging Face.
    SPLIT
  }

  /// Elements of a head that rotate, counted from its start.
  public int rotaryDim() {
    return 2 * frequencies.length;
  }
}
