package dev.tessera.kvcache;

/// Chooses, where temperature decides, which prefixes keep the exact copies of their cooled blocks
/// for longer than others, by how often they are asked for. A copy that nobody reads is no more
/// than that: it goes when there is nothing else to spare.
public interface CopyKeeper {

  /// Keeps nothing.
  CopyKeeper NONE =
      new CopyKeeper() {
        @Override
        public void asked(BlockHash block) {}

        @Override
        public boolean keeps(BlockHash block) {
          return false;
        }
      };

  /// Notes that a sequence has begun with a block.
  void asked(BlockHash block);

  /// Whether a block's exact copy is to be kept.
  boolean keeps(BlockHash block);
}
