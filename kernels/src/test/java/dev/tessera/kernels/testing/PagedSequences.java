package dev.tessera.kernels.testing;

import dev.tessera.kernels.CooledForm;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.LayerGroup;
import dev.tessera.kvcache.SlabLayout;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.MemorySegment;
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
import org.jspecify.annotations.Nullable;

/// Sequences in paged memory, as an engine would keep them: slabs are handed out in a shuffled
/// order, blocks cool when a query reads them so, and what no query will read again is given back
/// and used again.
public final class PagedSequences {

  private static final int BLOCK = TileShape.BLOCK_TOKENS;

  private final DecoderSpec spec;
  private final DecoderSession session;
  private final CooledForms forms;
  private final @Nullable FormChoice choice;
  private final List<List<Deque<Integer>>> freeSlabs = new ArrayList<>(); // [groups][forms]
  private final Map<Integer, Integer> computed = new HashMap<>(); // tokens by sequence
  private final Map<Integer, List<TreeMap<Integer, int[]>>> tables =
      new HashMap<>(); // by sequence: [groups], by block: references of its forms

  /// Says in which form all queries of a step read a block of a group that cools. It never falls as
  /// the sequence moves on, and rises by one at most.
  @FunctionalInterface
  public interface FormChoice {

    /// @param queryBlock of the step's first query
    int form(int sequence, int queryBlock, int block);
  }

  public PagedSequences(DecoderSession session, SessionLimits limits, long seed) {
    this(session, limits, CooledForms.NONE, seed);
  }

  /// Blocks cool as the rule says.
  ///
  /// @param forms that the session has been told
  public PagedSequences(
      DecoderSession session, SessionLimits limits, CooledForms forms, long seed) {
    this(session, limits, forms, null, seed);
  }

  /// @param choice in which forms blocks are read; null for the rule's
  public PagedSequences(
      DecoderSession session,
      SessionLimits limits,
      CooledForms forms,
      @Nullable FormChoice choice,
      long seed) {
    this.choice = choice;
    this.spec = session.spec();
    this.session = session;
    this.forms = forms;
    var random = new Random(seed);
    for (int group = 0; group < limits.slabs().length; group++) {
      var free = new ArrayList<Deque<Integer>>();
      free.add(shuffled(limits.slabs()[group], random));
      for (CooledForm form : forms.of(group)) {
        free.add(shuffled(form.slabs(), random));
      }
      freeSlabs.add(free);
    }
  }

  private static Deque<Integer> shuffled(int slabs, Random random) {
    List<Integer> free =
        IntStream.range(0, slabs).boxed().collect(Collectors.toCollection(ArrayList::new));
    Collections.shuffle(free, random);
    return new ArrayDeque<>(free);
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
      freeFormsOfThePast(chunk.getKey());
    }
    return logits;
  }

  /// The batch that [#append(TreeMap)] would submit.
  public StepBatch batch(TreeMap<Integer, int[]> chunks) {
    var rowStarts = new int[chunks.size() + 1];
    var firstPositions = new int[chunks.size()];
    var tokenIds = new ArrayList<Integer>();
    List<List<int[]>> coolings = // [groups], { block, from, to }
        spec.kv().groups().stream().<List<int[]>>map(group -> new ArrayList<>()).toList();
    int index = 0;
    for (var chunk : chunks.entrySet()) {
      int first = computed.getOrDefault(chunk.getKey(), 0);
      int end = first + chunk.getValue().length;
      firstPositions[index] = first;
      reserve(chunk.getKey(), end);
      for (LayerGroup group : spec.kv().groups()) {
        cool(chunk.getKey(), group.id(), first / BLOCK, (end - 1) / BLOCK, coolings);
      }
      Arrays.stream(chunk.getValue()).forEach(tokenIds::add);
      rowStarts[++index] = tokenIds.size();
    }
    var groupTables = new StepBatch.BlockTables[spec.kv().groups().size()];
    for (int group = 0; group < groupTables.length; group++) {
      groupTables[group] = tables(group, List.copyOf(chunks.keySet()), firstPositions);
    }
    return new StepBatch(
        tokenIds.stream().mapToInt(Integer::intValue).toArray(),
        rowStarts,
        firstPositions,
        groupTables,
        IntStream.range(0, tokenIds.size()).toArray(),
        coolings.stream().map(PagedSequences::coolings).toList());
  }

  private static StepBatch.Coolings coolings(List<int[]> coolings) {
    return new StepBatch.Coolings(
        coolings.stream().mapToInt(cooling -> cooling[0]).toArray(),
        coolings.stream().mapToInt(cooling -> cooling[1]).toArray(),
        coolings.stream().mapToInt(cooling -> cooling[2]).toArray());
  }

  /// The coolings of a step, alone.
  public static StepBatch withoutRows(StepBatch batch) {
    var none = new int[0];
    var tables = new StepBatch.BlockTables[batch.tables().length];
    for (int group = 0; group < tables.length; group++) {
      int[][] cooled = new int[batch.tables()[group].cooled().length][0];
      tables[group] = new StepBatch.BlockTables(new int[1], none, none, none, cooled);
    }
    return new StepBatch(none, new int[1], none, tables, none, batch.coolings());
  }

  /// Ends a sequence. Its slabs are the next to be used again, just as it left them.
  public void release(int sequence) {
    List<TreeMap<Integer, int[]>> groups = tables.remove(sequence);
    for (int group = 0; group < groups.size(); group++) {
      for (int[] refs : groups.get(group).values()) {
        for (int form = 0; form < refs.length; form++) {
          if (refs[form] != BlockRef.NONE) {
            freeSlabs.get(group).get(form).addFirst(BlockRef.slab(refs[form]));
          }
        }
      }
    }
    computed.remove(sequence);
  }

  /// Copies a sequence, slab by slab, into another session, where it lies elsewhere and can go on.
  ///
  /// @param exact layouts of the exact slabs, by layer group
  public void copyTo(PagedSequences other, int sequence, SlabLayout[] exact) {
    List<TreeMap<Integer, int[]>> copies = new ArrayList<>();
    for (int group = 0; group < exact.length; group++) {
      var table = new TreeMap<Integer, int[]>();
      for (var entry : tables.get(sequence).get(group).entrySet()) {
        int[] refs = entry.getValue().clone();
        for (int form = 0; form < refs.length; form++) {
          if (refs[form] != BlockRef.NONE) {
            long size =
                form == BlockRef.EXACT
                    ? exact[group].slabBytes()
                    : forms.of(group).get(form - 1).layout().slabBytes();
            var bytes = MemorySegment.ofArray(new byte[Math.toIntExact(size)]);
            session.readSlab(group, form, BlockRef.slab(refs[form]), bytes);
            refs[form] = other.take(group, form);
            other.session.writeSlab(group, form, BlockRef.slab(refs[form]), bytes);
          }
        }
        table.put(entry.getKey(), refs);
      }
      copies.add(table);
    }
    other.tables.put(sequence, copies);
    other.computed.put(sequence, computed.get(sequence));
  }

  private void reserve(int sequence, int tokens) {
    List<TreeMap<Integer, int[]>> bySequence =
        tables.computeIfAbsent(
            sequence,
            key ->
                IntStream.range(0, spec.kv().groups().size())
                    .mapToObj(group -> new TreeMap<Integer, int[]>())
                    .toList());
    for (int group = 0; group < bySequence.size(); group++) {
      TreeMap<Integer, int[]> table = bySequence.get(group);
      int next = table.isEmpty() ? 0 : table.lastKey() + 1;
      for (int block = next; block * BLOCK < tokens; block++) {
        var refs = new int[1 + forms.of(group).size()];
        Arrays.fill(refs, BlockRef.NONE);
        refs[BlockRef.EXACT] = take(group, BlockRef.EXACT);
        table.put(block, refs);
      }
    }
  }

  private int take(int group, int form) {
    return BlockRef.of(form, freeSlabs.get(group).get(form).removeFirst());
  }

  /// Every form that a query of the step reads is made from the exact one, or from the one before.
  private void cool(
      int sequence, int group, int firstBlock, int lastBlock, List<List<int[]>> coolings) {
    for (var entry : tables.get(sequence).get(group).entrySet()) {
      int block = entry.getKey();
      int[] refs = entry.getValue();
      for (int query = Math.max(block, firstBlock); query <= lastBlock; query++) {
        int form = form(sequence, group, choice == null ? query : firstBlock, block);
        if (refs[form] == BlockRef.NONE) {
          int from = refs[BlockRef.EXACT] != BlockRef.NONE ? refs[BlockRef.EXACT] : refs[form - 1];
          refs[form] = take(group, form);
          coolings.get(group).add(new int[] {block, from, refs[form]});
        }
      }
    }
  }

  /// The form in which a query reads a block.
  private int form(int sequence, int group, int queryBlock, int block) {
    if (choice == null || forms.of(group).isEmpty()) {
      return forms.form(group, queryBlock, block);
    }
    return block < queryBlock ? choice.form(sequence, queryBlock, block) : BlockRef.EXACT;
  }

  private StepBatch.BlockTables tables(int group, List<Integer> sequences, int[] firstPositions) {
    var starts = new int[sequences.size() + 1];
    var firstBlocks = new int[sequences.size()];
    var sinkBlocks = new int[sequences.size()];
    var refs = new ArrayList<int[]>();
    var readForms = new ArrayList<Integer>();
    for (int i = 0; i < sequences.size(); i++) {
      List<Integer> blocks = List.copyOf(tables.get(sequences.get(i)).get(group).keySet());
      // The last run of consecutive blocks is the window; what lies before it holds sinks.
      int run = blocks.size() - 1;
      while (run > 0 && blocks.get(run - 1) == blocks.get(run) - 1) {
        run--;
      }
      sinkBlocks[i] = run;
      firstBlocks[i] = blocks.get(run);
      refs.addAll(tables.get(sequences.get(i)).get(group).values());
      for (int block : blocks) {
        readForms.add(form(sequences.get(i), group, firstPositions[i] / BLOCK, block));
      }
      starts[i + 1] = refs.size();
    }
    int[][] byForm =
        IntStream.rangeClosed(0, forms.of(group).size())
            .mapToObj(form -> refs.stream().mapToInt(block -> block[form]).toArray())
            .toArray(int[][]::new);
    return new StepBatch.BlockTables(
        starts,
        firstBlocks,
        sinkBlocks,
        byForm[BlockRef.EXACT],
        Arrays.copyOfRange(byForm, 1, byForm.length),
        choice == null ? new int[0] : readForms.stream().mapToInt(Integer::intValue).toArray());
  }

  private void freeBehindWindows(int sequence) {
    for (LayerGroup group : spec.kv().groups()) {
      if (group.isFull()) {
        continue;
      }
      int firstSeen = Math.max(0, computed.get(sequence) - group.window() + 1);
      TreeMap<Integer, int[]> table = tables.get(sequence).get(group.id());
      int sinkBlocks = Math.ceilDiv(group.sinkTokens(), BLOCK);
      for (int block : List.copyOf(table.keySet())) {
        if (block >= sinkBlocks && (block + 1) * BLOCK <= firstSeen) {
          free(group.id(), table.remove(block), BlockRef.EXACT);
        }
      }
    }
  }

  /// A form that no later query reads goes, if a cooler one exists.
  private void freeFormsOfThePast(int sequence) {
    int nextQuery = computed.get(sequence) / BLOCK;
    for (LayerGroup group : spec.kv().groups()) {
      for (var entry : tables.get(sequence).get(group.id()).entrySet()) {
        int[] refs = entry.getValue();
        int block = entry.getKey();
        int next = form(sequence, group.id(), Math.max(nextQuery, block), block);
        for (int form = 0; form < next; form++) {
          boolean hasCooler =
              Arrays.stream(refs, form + 1, refs.length).anyMatch(ref -> ref != BlockRef.NONE);
          if (refs[form] != BlockRef.NONE && hasCooler) {
            free(group.id(), refs, form);
          }
        }
      }
    }
  }

  private void free(int group, int[] refs, int form) {
    int slab = BlockRef.slab(refs[form]);
    refs[form] = BlockRef.NONE;
    session.discard(group, form, slab);
    freeSlabs.get(group).get(form).addFirst(slab);
  }
}
