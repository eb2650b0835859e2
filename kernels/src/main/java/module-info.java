/// The arithmetic on tiles and weights. Decides nothing about blocks.
@org.jspecify.annotations.NullMarked
module dev.tessera.kernels {
  requires transitive dev.tessera.kvcache;
  requires static transitive org.jspecify;
  requires static jdk.incubator.vector; // only the vector backend needs it

  exports dev.tessera.kernels;
  exports dev.tessera.kernels.codec;
  exports dev.tessera.kernels.scalar;
}
