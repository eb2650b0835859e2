package dev.tessera.kernels.vector;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;

/// `y = x · Wᵀ` for one panel of outputs. A block of weights is expanded to floats once and then
/// serves every token.
///
/// Each output is one chain of multiply-adds along the inputs, whatever the number of tokens beside
/// it: chunking and batching change no bit.
final class PanelProduct {

  private static final int SIDE = PackedMatrix.SIDE;
  private static final int LANES = Lanes.COUNT;

  private final float[] w = new float[SIDE * SIDE]; // [inputs][outputs] of one block
  private final short[] halves = new short[SIDE * SIDE];

  /// @param x `[tokens][xStride]`, zero beyond the matrix's columns
  /// @param y `[tokens][yStride]`; the panel's 32 outputs are written
  void multiply(
      PackedMatrix matrix, int panel, float[] x, int xStride, int tokens, float[] y, int yStride) {
    int column = panel * SIDE;
    for (int token = 0; token < tokens; token++) {
      Arrays.fill(y, token * yStride + column, token * yStride + column + SIDE, 0);
    }
    for (int block = 0; block < matrix.blocks(); block++) {
      matrix.expand(panel, block, w, halves);
      for (int lane = 0; lane < SIDE; lane += 2 * LANES) {
        int xAt = block * SIDE;
        int yAt = column + lane;
        int token = 0;
        for (; token + 6 <= tokens; token += 6) {
          six(w, lane, x, xAt + token * xStride, xStride, y, yAt + token * yStride, yStride);
        }
        for (; token < tokens; token++) {
          one(w, lane, x, xAt + token * xStride, y, yAt + token * yStride);
        }
      }
    }
  }

  private static void one(float[] w, int lane, float[] x, int xAt, float[] y, int yAt) {
    FloatVector a = Lanes.load(y, yAt);
    FloatVector b = Lanes.load(y, yAt + LANES);
    for (int i = 0; i < SIDE; i++) {
      FloatVector xi = Lanes.splat(x[xAt + i]);
      a = xi.fma(Lanes.load(w, i * SIDE + lane), a);
      b = xi.fma(Lanes.load(w, i * SIDE + lane + LANES), b);
    }
    a.intoArray(y, yAt);
    b.intoArray(y, yAt + LANES);
  }

  // Twelve accumulators, two weights and a broadcast: what sixteen registers hold. Accumulators in
  // an array would live in memory.
  private static void six(
      float[] w, int lane, float[] x, int x0, int xStride, float[] y, int y0, int yStride) {
    int x1 = x0 + xStride;
    int x2 = x1 + xStride;
    int x3 = x2 + xStride;
    int x4 = x3 + xStride;
    int x5 = x4 + xStride;
    int y1 = y0 + yStride;
    int y2 = y1 + yStride;
    int y3 = y2 + yStride;
    int y4 = y3 + yStride;
    int y5 = y4 + yStride;
    FloatVector a0 = Lanes.load(y, y0);
    FloatVector b0 = Lanes.load(y, y0 + LANES);
    FloatVector a1 = Lanes.load(y, y1);
    FloatVector b1 = Lanes.load(y, y1 + LANES);
    FloatVector a2 = Lanes.load(y, y2);
    FloatVector b2 = Lanes.load(y, y2 + LANES);
    FloatVector a3 = Lanes.load(y, y3);
    FloatVector b3 = Lanes.load(y, y3 + LANES);
    FloatVector a4 = Lanes.load(y, y4);
    FloatVector b4 = Lanes.load(y, y4 + LANES);
    FloatVector a5 = Lanes.load(y, y5);
    FloatVector b5 = Lanes.load(y, y5 + LANES);
    for (int i = 0; i < SIDE; i++) {
      FloatVector wa = Lanes.load(w, i * SIDE + lane);
      FloatVector wb = Lanes.load(w, i * SIDE + lane + LANES);
      FloatVector xi = Lanes.splat(x[x0 + i]);
      a0 = xi.fma(wa, a0);
      b0 = xi.fma(wb, b0);
      xi = Lanes.splat(x[x1 + i]);
      a1 = xi.fma(wa, a1);
      b1 = xi.fma(wb, b1);
      xi = Lanes.splat(x[x2 + i]);
      a2 = xi.fma(wa, a2);
      b2 = xi.fma(wb, b2);
      xi = Lanes.splat(x[x3 + i]);
      a3 = xi.fma(wa, a3);
      b3 = xi.fma(wb, b3);
      xi = Lanes.splat(x[x4 + i]);
      a4 = xi.fma(wa, a4);
      b4 = xi.fma(wb, b4);
      xi = Lanes.splat(x[x5 + i]);
      a5 = xi.fma(wa, a5);
      b5 = xi.fma(wb, b5);
    }
    a0.intoArray(y, y0);
    b0.intoArray(y, y0 + LANES);
    a1.intoArray(y, y1);
    b1.intoArray(y, y1 + LANES);
    a2.intoArray(y, y2);
    b2.intoArray(y, y2 + LANES);
    a3.intoArray(y, y3);
    b3.intoArray(y, y3 + LANES);
    a4.intoArray(y, y4);
    b4.intoArray(y, y4 + LANES);
    a5.intoArray(y, y5);
    b5.intoArray(y, y5 + LANES);
  }
}
