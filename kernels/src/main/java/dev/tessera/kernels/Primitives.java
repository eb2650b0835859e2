package dev.tessera.kernels;

/// The operations of a backend one by one, for contract tests and benchmarks. They run the very
/// code of a step.
public interface Primitives {

  /// Stores K and V into exact tiles and attends over them.
  ///
  /// @return `[queries][heads][headDim]`
  default float[] attend(AttentionProblem problem) {
    return attend(problem, CooledForms.NONE);
  }

  /// Stores K and V into exact tiles, cools the blocks that a query reads in another form, and
  /// attends over the mixture.
  ///
  /// @param forms of one layer group with one layer
  /// @return `[queries][heads][headDim]`
  /// @throws UnsupportedOperationException if the backend does not read these forms
  float[] attend(AttentionProblem problem, CooledForms forms);

  /// `y[tokens][rows] = x[tokens][columns] · Wᵀ`, with the weights packed and the activations
  /// quantised as in a step.
  float[] multiply(Tensor weights, float[] x, int tokens);

  /// `y[tokens][width] = rmsNorm(x) * weight`.
  float[] rmsNorm(float[] x, float[] weight, float epsilon);
}
