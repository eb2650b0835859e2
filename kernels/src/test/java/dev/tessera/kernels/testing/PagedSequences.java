package dev.tessera.kernels.testing;

import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.TileShape;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/// Sequences in paged memory, as an engine would keep them: slabs are handed out in a shuffled
/// order, and blocks behind a group's window are given back and used again.
public final class PagedSequences {

  private static final int BLOCK = TileShape.BLOCK_TOKENS;

  private final DecoderSpec spec;
  private final DecoderSession session;
  private final List<Deque<Integer>> freeSlabs = new ArrayList<>(); // [groups]
  private final Map<Integer, Integer> computed = new HashMap<>(); // tokens by sequence
  private final Map<Integer, List<TreeMap<Integer, Integer>>> tables =
      new HashMap<>(); // by sequence: [groups] slab by block

  public PagedSequences(DecoderSession session, SessionLimits limits, long seed) {
    this.spec = session.spec();
    this.session = session;
    var random = new Random(seed);
    for (int slabs : limits.slabs()) {
      List<Integer> free =
          IntStream.range(0, slabs).boxed().collect(Collectors.toCollection(ArrayList::new));
      Collections.shuffle(free, random);
      freeSlabs.add(new ArrayDeque<>(free));
    }
  }

  /// Limits that leave room for this many tokens.
  public static SessionLimits limits(DecoderSpec spec, int sequences, int tokens) {
    var slabs = new int[spec.kv().groups().size()];
    Arrays.fill(slabs, sequences + Math.ceilDiv(tokens, BLOCK) + 3);
    return new SessionLimits(tokens, tokens, sequences, slabs);
  }

  /// Appends tokens to one sequence, which starts with its first call.
  ///
  /// @return the logits of every new token, `[tokens][vocabulary]`
  public float[][] append(int sequence, int... tokens) {
    var chunks = new TreeMap<Integer, int[]>();
    chunks.put(sequence, tokens);
    return append(chunks).get(sequence);
  }

  /// Appends tokens to some sequences in one step.
  ///
  /// @return the logits of every new token, by sequence
  public Map<Integer, float[][]> append(TreeMap<Integer, int[]> chunks) {
    StepBatch batch = batch(chunks);
    session.submit(batch);
    session.await();
    var logits = new HashMap<Integer, float[][]>();
    int row = 0;
    for (var chunk : chunks.entrySet()) {
      var rows = new float[chunk.getValue().length][spec.vocabulary()];
      for (float[] destination : rows) {
        session.readLogits(row++, destination);
      }
      logits.put(chunk.getKey(), rows);
      computed.merge(chunk.getKey(), rows.length, Integer::sum);
      freeBehindWindows(chunk.getKey());
    }
    return logits;
  }

  /// The batch that [#append(TreeMap)] would submit.
  public StepBatch batch(TreeMap<Integer, int[]> chunks) {
    var rowStarts = new int[chunks.size() + 1];
    var firstPositions = new int[chunks.size()];
    var tokenIds = new ArrayList<Integer>();
    int index = 0;
    for (var chunk : chunks.entrySet()) {
      firstPositions[index] = computed.getOrDefault(chunk.getKey(), 0);
      reserve(chunk.getKey(), firstPositions[index] + chunk.getValue().length);
      Arrays.stream(chunk.getValue()).forEach(tokenIds::add);
      rowStarts[++index] = tokenIds.size();
    }
    var groupTables = new StepBatch.BlockTables[spec.kv().groups().size()];
    for (int group = 0; group < groupTables.length; group++) {
      groupTables[group] = tables(group, List.copyOf(chunks.keySet()));
    }
    return new StepBatch(
        tokenIds.stream().mapToInt(Integer::intValue).toArray(),
        rowStarts,
        firstPositions,
        groupTables,
        IntStream.range(0, tokenIds.size()).toArray(),
        StepBatch.Coolings.none(groupTables.length));
  }

  /// Ends a sequence. Its slabs are the next to be used again, just as it left them.
  public void release(int sequence) {
    List<TreeMap<Integer, Integer>> groups = tables.remove(sequence);
    for (int group = 0; group < groups.size(); group++) {
      groups.get(group).values().forEach(freeSlabs.get(group)::addFirst);
    }
    computed.remove(sequence);
  }

  private void reserve(int sequence, int tokens) {
    List<TreeMap<Integer, Integer>> bySequence =
        tables.computeIfAbsent(
            sequence,
            key ->
                IntStream.range(0, spec.kv().groups().size())
                    .mapToObj(group -> new TreeMap<Integer, Integer>())
                    .toList());
    for (int group = 0; group < bySequence.size(); group++) {
      TreeMap<Integer, Integer> table = bySequence.get(group);
      int next = table.isEmpty() ? 0 : table.lastKey() + 1;
      for (int block = next; block * BLOCK < tokens; block++) {
        table.put(block, freeSlabs.get(group).removeFirst());
      }
    }
  }

  private StepBatch.BlockTables tables(int group, List<Integer> sequences) {
    var starts = new int[sequences.size() + 1];
    var firstBlocks = new int[sequences.size()];
    var sinkBlocks = new int[sequences.size()];
    var refs = new ArrayList<Integer>();
    for (int i = 0; i < sequences.size(); i++) {
      List<Integer> blocks = List.copyOf(tables.get(sequences.get(i)).get(group).keySet());
      // The last run of consecutive blocks is the window; what lies before it holds sinks.
      int run = blocks.size() - 1;
      while (run > 0 && blocks.get(run - 1) == blocks.get(run) - 1) {
        run--;
      }
      sinkBlocks[i] = run;
      firstBlocks[i] = blocks.get(run);
      tables.get(sequences.get(i)).get(group).values().stream()
          .map(slab -> BlockRef.of(BlockRef.EXACT, slab))
          .forEach(refs::add);
      starts[i + 1] = refs.size();
    }
    return StepBatch.BlockTables.exact(
        starts, firstBlocks, sinkBlocks, refs.stream().mapToInt(Integer::intValue).toArray());
  }

  private void freeBehindWindows(int sequence) {
    for (LayerGroup group : spec.kv().groups()) {
      if (group.isFull()) {
        continue;
      }
      int firstSeen = Math.max(0, computed.get(sequence) - group.window() + 1);
      TreeMap<Integer, Integer> table = tables.get(sequence).get(group.id());
      int sinkBlocks = Math.ceilDiv(group.sinkTokens(), BLOCK);
      for (int block : List.copyOf(table.keySet())) {
        if (block >= sinkBlocks && (block + 1) * BLOCK <= firstSeen) {
          int slab = table.remove(block);
          session.discard(group.id(), BlockRef.EXACT, slab);
          freeSlabs.get(group.id()).addFirst(slab);
        }
      }
    }
  }
}
