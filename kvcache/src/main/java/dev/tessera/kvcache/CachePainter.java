package dev.tessera.kvcache;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Takes a picture of the cache: every block once, whether the tree or a sequence has it.
final class CachePainter {
  private final PrefixTree tree;
  private final @Nullable HeatCooler temperature;
  private final Set<Block> seen = Collections.newSetFromMap(new IdentityHashMap<>());
  private final List<List<CachePicture.Block>> blocks = new ArrayList<>(); // [groups]

  /// @param temperature that knows the heat of blocks; null where that decides nothing
  CachePainter(PrefixTree tree, @Nullable HeatCooler temperature) {
    this.tree = tree;
    this.temperature = temperature;
  }

  List<CachePicture.Group> groups(
      KvGeometry geometry, BlockForms forms, Collection<SequenceCache> live) {
    geometry.groups().forEach(group -> blocks.add(new ArrayList<>()));
    for (PrefixNode node : tree.nodes()) {
      for (Block block : node.blocks) {
        add(block);
      }
    }
    for (SequenceCache sequence : live) {
      for (BlockTable table : sequence.tables) {
        for (int i = 0; i < table.end(); i++) {
          add(table.block(i));
        }
      }
    }
    List<CachePicture.Group> groups = new ArrayList<>();
    for (LayerGroup group : geometry.groups()) {
      List<CachePicture.Block> own = blocks.get(group.id());
      own.sort(Comparator.comparingLong(CachePicture.Block::id));
      groups.add(
          new CachePicture.Group(group.layers(), group.window(), forms.picture(group.id()), own));
    }
    return groups;
  }

  private void add(@Nullable Block block) {
    if (block == null || !seen.add(block)) {
      return;
    }
    List<Integer> own = new ArrayList<>();
    List<Integer> references = new ArrayList<>();
    List<Integer> tails = new ArrayList<>();
    for (int form = 0; form < block.forms(); form++) {
      if (block.isReady(form)) {
        own.add(form);
        references.add(block.references(form));
        tails.add(block.tails(form));
      }
    }
    blocks
        .get(block.group())
        .add(
            new CachePicture.Block(
                block.id(),
                block.index(),
                own,
                references,
                tails,
                block.node != null,
                block.isReferenced() ? 0 : tree.age(block),
                temperature == null ? null : temperature.heat(block)));
  }
}
