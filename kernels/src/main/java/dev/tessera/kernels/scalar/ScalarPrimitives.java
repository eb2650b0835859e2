package dev.tessera.kernels.scalar;

import dev.tessera.kernels.ActivationFormat;
import dev.tessera.kernels.AttentionProblem;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.Primitives;
import dev.tessera.kernels.StepBatch.Coolings;
import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.codec.CodedProducts;
import dev.tessera.kvcache.ElementType;
import dev.tessera.kvcache.KvGeometry;
import dev.tessera.kvcache.LayerGroup;
import java.util.List;

/// The oracle's operations one by one.
final class ScalarPrimitives implements Primitives {

  private final ElementType element;
  private final ActivationFormat activations;
  private final CodedProducts products;

  ScalarPrimitives(ElementType element, ActivationFormat activations, CodedProducts products) {
    this.element = element;
    this.activations = activations;
    this.products = products;
  }

  @Override
  public float[] attend(AttentionProblem problem, CooledForms forms) {
    int headDim = problem.headDim();
    var group = new LayerGroup(0, List.of(0), problem.window(), problem.sinkTokens());
    var kv = new KvGeometry(List.of(group), 1, problem.kvHeads(), headDim);
    var tiles = new Tiles(ScalarBackend.slab(element, group, kv), problem.blocks());
    var cooled = new CooledTiles(forms, 0, tiles);
    var context = new Context(tiles, cooled, products, problem.tables(forms), group, 0, 0, null);
    double[] k = Textbook.toDoubles(problem.k());
    double[] v = Textbook.toDoubles(problem.v());
    for (int position = 0; position < problem.context(); position++) {
      context.store(position, problem.kvHeads(), k, v, position * problem.kvHeads() * headDim);
    }
    Coolings coolings = problem.coolings(forms);
    for (int i = 0; i < coolings.count(); i++) {
      cooled.cool(0, coolings.blocks()[i], coolings.from()[i], coolings.to()[i]);
    }
    double[] q = Textbook.toDoubles(problem.q());
    var out = new double[q.length];
    for (int query = 0; query < problem.queries(); query++) {
      int position = problem.context() - problem.queries() + query;
      for (int head = 0; head < problem.heads(); head++) {
        int kvHead = head / (problem.heads() / problem.kvHeads());
        int first = (query * problem.heads() + head) * headDim;
        context.attend(position, kvHead, problem.scale(), problem.softCap(), q, out, first);
      }
    }
    return Textbook.toFloats(out);
  }

  @Override
  public float[] multiply(Tensor weights, float[] x, int tokens) {
    return Textbook.toFloats(
        Textbook.multiply(weights, Textbook.toDoubles(x), tokens, activations));
  }

  @Override
  public float[] rmsNorm(float[] x, float[] weight, float epsilon) {
    return Textbook.toFloats(Textbook.rmsNorm(Textbook.toDoubles(x), weight, epsilon));
  }
}
