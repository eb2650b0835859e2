package dev.tessera.models;

import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.models.template.ChatTemplate;
import dev.tessera.models.tokenizer.Tokenizer;
import org.jspecify.annotations.Nullable;

/// An opened model: the shape of its network, its weights, its words. Closing it unmaps the
/// weights; everything else stays usable.
public interface Model extends AutoCloseable {

  /// A short name, for example `SmolLM2-135M-Instruct`.
  String name();

  /// Architecture and weight types in a line, for logs.
  String description();

  /// Number of weights.
  long parameters();

  /// Bytes of the weights in the file.
  long fileBytes();

  DecoderSpec spec();

  DecoderWeights weights();

  Tokenizer tokenizer();

  /// Null where the model brings none.
  @Nullable ChatTemplate chatTemplate();

  SamplingDefaults samplingDefaults();

  /// SHA-256 over the file's metadata, its tensor table and a sample of every tensor: the model's
  /// part of a block hash.
  byte[] fingerprint();

  @Override
  void close();
}
