package dev.tessera.models.calibration;

/// Small dense matrices, `[rows][columns]`.
final class Matrices {

  private Matrices() {}

  static double[][] multiply(double[][] a, double[][] b) {
    int inner = b.length;
    int columns = b[0].length;
    var c = new double[a.length][columns];
    for (int i = 0; i < a.length; i++) {
      for (int k = 0; k < inner; k++) {
        double factor = a[i][k];
        for (int j = 0; j < columns; j++) {
          c[i][j] += factor * b[k][j];
        }
      }
    }
    return c;
  }

  static double[][] transpose(double[][] a) {
    var t = new double[a[0].length][a.length];
    for (int i = 0; i < a.length; i++) {
      for (int j = 0; j < t.length; j++) {
        t[j][i] = a[i][j];
      }
    }
    return t;
  }

  /// `trace(a · b)` of symmetric matrices.
  static double traceOfProduct(double[][] a, double[][] b) {
    double trace = 0;
    for (int i = 0; i < a.length; i++) {
      for (int j = 0; j < a.length; j++) {
        trace += a[i][j] * b[i][j];
      }
    }
    return trace;
  }

  static float[] flat(double[][] a) {
    var flat = new float[a.length * a[0].length];
    int at = 0;
    for (double[] row : a) {
      for (double x : row) {
        flat[at++] = (float) x;
      }
    }
    return flat;
  }
}
