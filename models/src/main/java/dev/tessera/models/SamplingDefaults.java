package dev.tessera.models;

import org.jspecify.annotations.Nullable;

/// Sampling parameters that a model file recommends; null where it says nothing.
public record SamplingDefaults(
    @Nullable Float temperature,
    @Nullable Integer topK,
    @Nullable Float topP,
    @Nullable Float minP,
    @Nullable Float repetitionPenalty) {

  public static final SamplingDefaults NONE = new SamplingDefaults(null, null, null, null, null);
}
