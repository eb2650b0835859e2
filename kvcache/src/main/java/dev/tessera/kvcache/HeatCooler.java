package dev.tessera.kvcache;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.function.ToIntFunction;
import org.jspecify.annotations.Nullable;

/// Blocks cool when memory runs short, those first whose cooling will be noticed least.
///
/// A block's [Heat] says how much attention it gets. Of what a form loses, a query sees about as
/// much as it attends to the block: so a cooling costs heat² times the error that the form adds,
/// and the order is by that cost for each byte that it frees. Age only says how soon a block may
/// cool.
///
/// All tables that show a block in a form go on to the next one together, one form at a time, and
/// not again before some steps have passed. What was lost is lost; but where the exact copy is
/// still there, a block that has become twice as hot as it was goes back to it while memory is
/// ample.
///
/// The cooling needs room itself, for the new form, and what it frees is free only when the step
/// that carries it out is over. So as long as anything can cool, or will be able to when what is
/// reserved is computed, the last bytes are never given to new blocks: then a step of coolings
/// alone makes room, and a sequence that fits alone by its [Footprint] can be finished here, too,
/// because in the end everything is as cool as age allows.
final class HeatCooler implements Cooler {

  /// Shares of the budget that live sequences hold: above the first, blocks leave the exact form
  /// until the second is reached; above the third, they go further down.
  private static final double FULL = 0.7;

  private static final double RELAXED = 0.6;
  private static final double PRESSING = 0.85;

  /// Steps for which a block stays in its form, unless there is no room at all.
  private static final int RESIDENCE = 32;

  /// Blocks are looked through once in so many steps, unless there is no room at all: of those
  /// whose time has come some are coded, so few that it is not felt.
  private static final int ROUND = 4;

  private static final int MOST_CODED = 8;

  /// Steps from one search for blocks that have become hot to the next.
  private static final int WARMING_ROUND = 8 * ROUND;

  /// What a prefix hit adds to a block's heat.
  private static final float HIT = 0.1f;

  /// How much hotter a block must be than it was when it cooled, to go back.
  private static final float WARMER = 2;

  private final CoolingRule rule;
  private final BlockPool pool;
  private final PrefixTree tree;
  private final Holds holds;
  private final PendingCoolings coolings;
  private final long[][] slabBytes; // [groups][forms]
  private final double[][] errors; // [groups][forms]
  private final long blockBytes; // an exact block, over all groups
  private final long spareBytes;
  private final List<Holds.Hold> leaving = new ArrayList<>(); // until the step is over
  private long step;
  private long missingBytes; // that a sequence wanted and did not get
  private @Nullable Boolean willCool; // null until somebody asks
  private boolean hasCooled; // anything, ever

  HeatCooler(
      BlockForms forms, BlockPool pool, PrefixTree tree, Holds holds, PendingCoolings coolings) {
    this.rule = forms.rule();
    this.pool = pool;
    this.tree = tree;
    this.holds = holds;
    this.coolings = coolings;
    this.slabBytes = forms.slabBytes();
    this.errors = forms.errors();
    long exact = 0;
    long spare = 0;
    for (long[] bytes : slabBytes) {
      exact += bytes[0];
      for (int form = 1; form < bytes.length; form++) {
        spare += bytes[form];
      }
    }
    this.blockBytes = exact;
    this.spareBytes = spare;
  }

  /// A block in a form that tables read it in, and what can become of it.
  private final class Candidate {
    final Block block;
    final int form;
    final List<BlockTable> tables = new ArrayList<>();
    int allowed; // the coolest form that no table is too young for

    Candidate(Block block, int form, int allowed) {
      this.block = block;
      this.form = form;
      this.allowed = allowed;
    }

    boolean canCool() {
      return allowed > form;
    }

    /// The next form, or a cooler one if that needs no coding.
    int next() {
      for (int cooler = form + 1; cooler <= allowed && !block.has(form + 1); cooler++) {
        if (block.isReady(cooler)) {
          return cooler;
        }
      }
      return form + 1;
    }

    long freed(int to) {
      long taken = block.references(to) > 0 ? 0 : bytes(to);
      return bytes(form) - taken;
    }

    long bytes(int of) {
      return slabBytes[block.group()][of];
    }

    /// Expected error for each byte.
    double cost() {
      double heat = block.heat.at(step);
      double[] own = errors[block.group()];
      int to = next();
      return heat * heat * (own[to] - own[form]) / Math.max(1, freed(to));
    }

    boolean hasRoom(long available) {
      int to = next();
      return block.has(to) || bytes(to) <= available;
    }
  }

  /// Every block of a group that cools, in every form in which some table reads it, but for those
  /// that stay exact.
  private Collection<Candidate> candidates(Collection<SequenceCache> live) {
    return candidates(live, SequenceCache::computedTokens);
  }

  /// @param tokens of a sequence before its next query
  private Collection<Candidate> candidates(
      Collection<SequenceCache> live, ToIntFunction<SequenceCache> tokens) {
    Map<Long, Candidate> candidates = new HashMap<>();
    for (SequenceCache sequence : live) {
      int query = tokens.applyAsInt(sequence) / TileShape.BLOCK_TOKENS;
      for (BlockTable table : sequence.tables) {
        for (int i = rule.firstBlocks(); table.cooledForms() > 0 && i < table.end(); i++) {
          Block block = table.present(i);
          int form = table.readForm(i);
          int allowed = rule.form(query, i);
          Candidate candidate =
              candidates.computeIfAbsent(
                  block.id() * BlockRef.MAX_FORMS + form,
                  key -> new Candidate(block, form, allowed));
          candidate.allowed = Math.min(candidate.allowed, allowed);
          candidate.tables.add(table);
        }
      }
    }
    return candidates.values();
  }

  private long availableBytes() {
    return pool.budget().limitBytes() - pool.referencedBytes();
  }

  @Override
  public boolean mayAppend(Collection<SequenceCache> live, int wanted) {
    if (availableBytes() - blockBytes >= spareBytes || !willCool(live)) {
      return true;
    }
    missingBytes += wanted * blockBytes;
    return false;
  }

  /// Whether anything can cool, at the latest when all that there are blocks for is computed.
  private boolean willCool(Collection<SequenceCache> live) {
    Boolean will = willCool;
    if (will == null) {
      long available = availableBytes();
      will =
          candidates(live, SequenceCache::reservedTokens).stream()
              .anyMatch(candidate -> candidate.canCool() && candidate.hasRoom(available));
      willCool = will;
    }
    return will;
  }

  @Override
  public void sequencesChanged() {
    willCool = null;
  }

  @Override
  public boolean append(BlockTable table, int queryBlock, List<Holds.Hold> held) {
    table.present(queryBlock).heat.begin(step);
    return true;
  }

  /// Notes what a sequence's query gave to each block of a group.
  void noteMass(BlockTable table, float[] shares) {
    for (int i = 0; i < Math.min(shares.length, table.end()); i++) {
      table.present(i).heat.add(shares[i], step);
    }
  }

  /// Notes that a sequence begins with a block that was there.
  void noteHit(Block block) {
    block.heat.add(HIT, step);
  }

  @Override
  public boolean makesRoom(Collection<SequenceCache> live) {
    return missingBytes > 0 && willCool(live);
  }

  @Override
  public void beforeStep(Collection<SequenceCache> live) {
    step++;
    long limit = pool.budget().limitBytes();
    long used = pool.referencedBytes();
    boolean isUrgent = missingBytes > 0;
    long wanted = used > FULL * limit ? used - (long) (RELAXED * limit) : 0;
    wanted = isUrgent ? Math.max(wanted, missingBytes + spareBytes) : wanted;
    missingBytes = 0;
    willCool = null;
    if (isUrgent || wanted > 0 && step % ROUND == 0) {
      cool(live, wanted, isUrgent, used > PRESSING * limit);
    } else if (used < RELAXED * limit && hasCooled && step % WARMING_ROUND == 0) {
      warm(live, (long) (RELAXED * limit) - used);
    }
  }

  private void cool(
      Collection<SequenceCache> live, long wanted, boolean isUrgent, boolean isPressing) {
    record Ranked(Candidate candidate, double cost) {}
    List<Ranked> ranked = new ArrayList<>();
    for (Candidate candidate : candidates(live)) {
      boolean mayGo =
          isUrgent
              || (isPressing || candidate.form == BlockRef.EXACT)
                  && candidate.block.heat.residence(step) >= RESIDENCE;
      if (candidate.canCool() && mayGo) {
        ranked.add(new Ranked(candidate, candidate.cost()));
      }
    }
    ranked.sort(
        Comparator.comparingDouble(Ranked::cost)
            .thenComparingInt(r -> r.candidate.block.index())
            .thenComparingLong(r -> r.candidate.block.id())
            .thenComparingInt(r -> r.candidate.form));
    long freed = 0;
    int coded = 0;
    for (Ranked next : ranked) {
      if (freed >= wanted || coded == MOST_CODED && !isUrgent) {
        return;
      }
      int to = next.candidate.next();
      boolean codes = next.candidate.form == BlockRef.EXACT && !next.candidate.block.has(to);
      OptionalLong bytes = move(next.candidate, to);
      freed += bytes.orElse(0);
      coded += codes && bytes.isPresent() ? 1 : 0;
    }
  }

  /// Takes a block to a cooler form in every table.
  ///
  /// @return bytes that this frees; nothing if there is no room for the form
  private OptionalLong move(Candidate candidate, int to) {
    Block block = candidate.block;
    long freed = candidate.freed(to);
    if (!block.has(to) && !coolings.reserve(block, to)) {
      return OptionalLong.empty();
    }
    for (BlockTable table : candidate.tables) {
      Holds.Hold ignored = holds.take(table, block.index(), to);
      leaving.add(new Holds.Hold(table, block.index(), candidate.form));
    }
    block.heat.moved(step);
    hasCooled = true;
    return OptionalLong.of(freed);
  }

  @Override
  public void afterStep() {
    long now = tree.tick();
    for (Holds.Hold hold : leaving) {
      holds.letGo(hold.table(), hold.index(), hold.form(), now);
    }
    leaving.clear();
    willCool = null;
  }

  /// Blocks that have become hotter go back to the exact copy, where there is one.
  private void warm(Collection<SequenceCache> live, long room) {
    long left = room;
    long now = tree.tick();
    for (Candidate candidate : candidates(live)) {
      Block block = candidate.block;
      Heat heat = block.heat;
      long bytes = candidate.bytes(BlockRef.EXACT);
      if (candidate.form != BlockRef.EXACT
          && block.isReady(BlockRef.EXACT)
          && heat.residence(step) >= RESIDENCE
          && heat.at(step) >= WARMER * heat.whenMoved()
          && bytes <= left) {
        for (BlockTable table : candidate.tables) {
          Holds.Hold ignored = holds.take(table, block.index(), BlockRef.EXACT);
          holds.letGo(table, block.index(), candidate.form, now);
        }
        heat.moved(step);
        left -= bytes;
      }
    }
  }

  /// Heat of a block, for pictures.
  float heat(Block block) {
    return block.heat.at(step);
  }

  @Override
  public void settle(SequenceCache sequence) {}

  @Override
  public long reclaimableBytes(Collection<SequenceCache> live) {
    long bytes = 0;
    for (Candidate candidate : candidates(live)) {
      if (candidate.canCool()) {
        bytes += Math.max(0, candidate.freed(candidate.allowed));
      }
    }
    return bytes;
  }

  @Override
  public long spareBytes() {
    return blockBytes + spareBytes;
  }
}
