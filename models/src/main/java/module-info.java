/// Bytes into named tensors, text into tokens, messages into prompts: everything that is particular
/// to a model.
@org.jspecify.annotations.NullMarked
module dev.tessera.models {
  requires transitive dev.tessera.kernels;
  requires static transitive org.jspecify;
  requires com.fasterxml.jackson.databind;
  requires java.net.http;

  exports dev.tessera.models;
  exports dev.tessera.models.calibration;
  exports dev.tessera.models.gguf;
  exports dev.tessera.models.hub;
  exports dev.tessera.models.template;
  exports dev.tessera.models.tokenizer;
}
