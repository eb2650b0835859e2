/// Who owns which block, and what the bytes of a tile are. Imports no other room and no library.
@org.jspecify.annotations.NullMarked
module dev.tessera.kvcache {
  requires static transitive org.jspecify;

  exports dev.tessera.kvcache;
}
