package dev.tessera.models.calibration;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.StepBatch;
import dev.tessera.kernels.codec.Turn;
import dev.tessera.kvcache.BlockRef;
import dev.tessera.kvcache.TileShape;
import dev.tessera.models.Model;
import dev.tessera.models.tokenizer.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.function.DoubleConsumer;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// Learns what a model's keys (and values, where codewords are wanted) are like, by running it over
/// [CalibrationTexts] and listening.
public final class Calibrator {

  /// Counts up whenever the same model and texts would give another calibration.
  static final int VERSION = 3;

  private static final int MOST_CHUNK_TOKENS = 256;

  /// Loading takes this share of the time, where it is part of it.
  private static final double LOAD_SHARE = 0.2;

  /// The forward pass takes this share of the rest.
  private static final double PASS_SHARE = 0.8;

  private final DecoderSession session;
  private final DecoderSpec spec;
  private final SessionLimits limits;
  private final List<Rotation> rotations; // [ropes]
  private final List<List<@Nullable KeyMoments>> moments = new ArrayList<>(); // [layers][kvHeads]
  private final PairDemand demand;
  private final List<List<TileSamples>> samples = new ArrayList<>(); // the same, or empty

  /// @param session that serves nobody yet: slabs from 0 on are used, and given back
  /// @param limits with which the session was loaded
  /// @param demand the codewords to learn beside what is always learned
  public Calibrator(DecoderSession session, SessionLimits limits, PairDemand demand) {
    this.session = session;
    this.demand = demand;
    this.spec = session.spec();
    this.limits = limits;
    rotations = spec.ropes().stream().map(Rotation::new).toList();
    for (DecoderSpec.Layer layer : spec.layers()) {
      List<@Nullable KeyMoments> heads = new ArrayList<>();
      boolean cools = spec.kv().groups().get(layer.group()).isFull();
      for (int head = 0; head < spec.kvHeads(); head++) {
        heads.add(cools ? new KeyMoments(rotations.get(layer.rope()), spec.headDim()) : null);
      }
      moments.add(heads);
      if (!demand.isEmpty()) {
        samples.add(
            IntStream.range(0, spec.kvHeads())
                .mapToObj(head -> new TileSamples(spec.headDim(), demand))
                .toList());
      }
    }
  }

  /// Learns in a session of its own, which it loads and closes.
  ///
  /// @param context tokens of the longest sequences that will be served
  /// @param demand the codewords to learn beside what is always learned
  /// @param progress called with the share that is done, from 0 to 1
  public static Calibration learn(
      Backend backend, Model model, int context, PairDemand demand, DoubleConsumer progress) {
    DecoderSpec spec = model.spec();
    int[] slabs = new int[spec.kv().groups().size()];
    int longest =
        CalibrationTexts.tokens(model.tokenizer()).stream()
            .mapToInt(text -> text.length)
            .max()
            .orElse(0);
    Arrays.fill(slabs, Math.ceilDiv(longest, TileShape.BLOCK_TOKENS));
    var limits = new SessionLimits(MOST_CHUNK_TOKENS, 1, 1, slabs);
    try (DecoderSession session =
        backend.load(spec, model.weights(), limits, share -> progress.accept(LOAD_SHARE * share))) {
      return new Calibrator(session, limits, demand)
          .learn(
              model.tokenizer(),
              context,
              share -> progress.accept(LOAD_SHARE + (1 - LOAD_SHARE) * share));
    }
  }

  /// @param context tokens of the longest sequences that will be served
  /// @param progress called with the share that is done, from 0 to 1
  public Calibration learn(Tokenizer tokenizer, int context, DoubleConsumer progress) {
    int most = Arrays.stream(limits.slabs()).min().orElse(0) * TileShape.BLOCK_TOKENS;
    List<int[]> texts =
        CalibrationTexts.tokens(tokenizer).stream()
            .map(text -> Arrays.copyOf(text, Math.min(text.length, Math.min(context, most))))
            .toList();
    int all = texts.stream().mapToInt(text -> text.length).sum();
    int done = 0;
    try {
      for (int[] text : texts) {
        int chunk = Math.min(MOST_CHUNK_TOKENS, limits.rows());
        for (int at = 0; at < text.length; at += chunk) {
          int rows = Math.min(chunk, text.length - at);
          run(text, at, rows);
          done += rows;
          progress.accept(PASS_SHARE * done / all);
        }
      }
    } finally {
      session.capture(null);
      texts.stream()
          .mapToInt(text -> Math.ceilDiv(text.length, TileShape.BLOCK_TOKENS))
          .max()
          .ifPresent(this::giveBack);
    }
    int[] tiles = texts.stream().mapToInt(text -> text.length / TileShape.BLOCK_TOKENS).toArray();
    Calibration calibration = solve(tiles, context, progress);
    progress.accept(1);
    return calibration;
  }

  private void run(int[] text, int at, int rows) {
    List<double[][]> turns = new ArrayList<>(); // [ropes][rows]
    for (Rotation rotation : rotations) {
      turns.add(IntStream.range(at, at + rows).mapToObj(rotation::turns).toArray(double[][]::new));
    }
    session.capture((layer, vectors) -> hear(layer, vectors, at, turns));
    session.submit(batch(Arrays.copyOfRange(text, at, at + rows), at));
    session.await();
  }

  private void hear(int layer, float[] vectors, int firstPosition, List<double[][]> turns) {
    double[][] positions = turns.get(spec.layers().get(layer).rope());
    int dim = spec.headDim();
    int width = (spec.heads() + 2 * spec.kvHeads()) * dim;
    int sharing = spec.queriesPerKvHead();
    IntStream.range(0, spec.kvHeads())
        .parallel()
        .forEach(
            kvHead -> {
              KeyMoments head = moments.get(layer).get(kvHead);
              if (head == null) {
                return;
              }
              for (int row = 0; row < positions.length; row++) {
                int at = row * width;
                for (int i = kvHead * sharing; i < (kvHead + 1) * sharing; i++) {
                  head.addQuery(vectors, at + i * dim);
                }
                int key = at + (spec.heads() + kvHead) * dim;
                head.addKey(vectors, key, firstPosition + row, positions[row]);
                if (!demand.isEmpty()) {
                  int value = key + spec.kvHeads() * dim;
                  samples.get(layer).get(kvHead).add(vectors, key, value, firstPosition + row);
                }
              }
            });
  }

  /// Block i of every text is slab i of every group.
  private StepBatch batch(int[] tokens, int position) {
    int[] refs =
        IntStream.range(0, Math.ceilDiv(position + tokens.length, TileShape.BLOCK_TOKENS))
            .map(slab -> BlockRef.of(BlockRef.EXACT, slab))
            .toArray();
    int groups = spec.kv().groups().size();
    var tables = new StepBatch.BlockTables[groups];
    Arrays.fill(
        tables,
        StepBatch.BlockTables.exact(new int[] {0, refs.length}, new int[1], new int[1], refs));
    return new StepBatch(
        tokens,
        new int[] {0, tokens.length},
        new int[] {position},
        tables,
        new int[0],
        StepBatch.Coolings.none(groups));
  }

  private void giveBack(int blocks) {
    for (int group = 0; group < spec.kv().groups().size(); group++) {
      for (int slab = 0; slab < blocks; slab++) {
        session.discard(group, BlockRef.EXACT, slab);
      }
    }
  }

  private Calibration solve(int[] tiles, int context, DoubleConsumer progress) {
    List<TurnMoments> turns =
        rotations.stream().map(rotation -> new TurnMoments(rotation, tiles)).toList();
    List<List<@Nullable LearnedKeys>> keys = new ArrayList<>();
    List<List<List<LearnedPairs>>> pairs = new ArrayList<>();
    for (int layer = 0; layer < moments.size(); layer++) {
      int rope = spec.layers().get(layer).rope();
      @Nullable LearnedKeys[] learned = new @Nullable LearnedKeys[spec.kvHeads()];
      List<@Nullable KeyMoments> heads = moments.get(layer);
      IntStream.range(0, learned.length)
          .parallel()
          .forEach(
              head -> {
                KeyMoments sums = heads.get(head);
                learned[head] =
                    sums == null || sums.isEmpty()
                        ? null
                        : LearnedKeys.of(sums, rotations.get(rope), turns.get(rope), context);
              });
      keys.add(Collections.unmodifiableList(Arrays.asList(learned)));
      if (!demand.isEmpty()) {
        pairs.add(pairs(layer, learned));
      }
      progress.accept(PASS_SHARE + (1 - PASS_SHARE) * (layer + 1) / moments.size());
    }
    return new Calibration(spec.headDim(), keys, pairs);
  }

  /// The codewords of a layer's heads, for keys as they are coded: without their turning mean.
  private List<List<LearnedPairs>> pairs(int layer, @Nullable LearnedKeys[] learned) {
    RopeSpec rope = spec.ropes().get(spec.layers().get(layer).rope());
    return IntStream.range(0, learned.length)
        .parallel()
        .mapToObj(
            head -> {
              LearnedKeys keys = learned[head];
              float[] mean = keys == null ? null : keys.mean();
              return samples.get(layer).get(head).learn(mean == null ? null : new Turn(mean, rope));
            })
        .toList();
  }
}
