package dev.tessera.kernels;

/// The operations of a backend one by one, for contract tests and benchmarks. They run the very
/// code of a step.
public interface Primitives {

  /// Stores K and V into exact tiles and attends over them.
  ///
  /// @return `[queries][heads][headDim]`
  float[] attend(AttentionProblem problem);

  /// `y[tokens][rows] = x[tokens][columns] · Wᵀ`, with the weights packed and the activations
  /// quantised as in a step.
  float[] multiply(Tensor weights, float[] x, int tokens);

  /// `y[tokens][width] = rmsNorm(x) * weight`.
  float[] rmsNorm(float[] x, float[] weight, float epsilon);
}
