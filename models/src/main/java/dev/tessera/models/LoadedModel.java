package dev.tessera.models;

import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.models.template.ChatTemplate;
import dev.tessera.models.tokenizer.Tokenizer;
import org.jspecify.annotations.Nullable;

/// A model out of a file or a directory.
///
/// @param unmap lets go of the weights
record LoadedModel(
    String name,
    String description,
    long parameters,
    long fileBytes,
    DecoderSpec spec,
    DecoderWeights weights,
    Tokenizer tokenizer,
    @Nullable ChatTemplate chatTemplate,
    SamplingDefaults samplingDefaults,
    byte[] fingerprint,
    Runnable unmap)
    implements Model {

  @Override
  public byte[] fingerprint() {
    return fingerprint.clone();
  }

  @Override
  public void close() {
    unmap.run();
  }
}
