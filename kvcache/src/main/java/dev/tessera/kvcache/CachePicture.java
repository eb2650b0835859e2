package dev.tessera.kvcache;

import java.util.List;
import org.jspecify.annotations.Nullable;

/// The cache, block by block, for pictures: where memory is and in which form, and nothing of what
/// it holds.
///
/// @param policy in its canonical text
public record CachePicture(String policy, KvStats stats, List<Group> groups) {

  /// A layer group and its blocks.
  ///
  /// @param layers of the model
  /// @param window tokens that its queries see; 0 for all
  /// @param forms in which its blocks may exist, the exact one first
  public record Group(List<Integer> layers, int window, List<Form> forms, List<Block> blocks) {}

  /// One form.
  ///
  /// @param slabBytes of a block in it
  /// @param keys names of the formats of the first head's key tiles, `[layers of the group]`
  /// @param values the same of the value tiles
  public record Form(long slabBytes, List<String> keys, List<String> values) {}

  /// One block.
  ///
  /// @param id the same for as long as the block lives
  /// @param index position of its first token / 64
  /// @param forms in which it exists
  /// @param references of live sequences, by entry of `forms`
  /// @param tails that need it, by entry of `forms`
  /// @param isShared whether later prompts can find it
  /// @param idle how many events of the cache ago its last reference went; 0 while it has one
  /// @param heat the attention that it gets; null where that decides nothing
  public record Block(
      long id,
      int index,
      List<Integer> forms,
      List<Integer> references,
      List<Integer> tails,
      boolean isShared,
      long idle,
      @Nullable Float heat) {}
}
