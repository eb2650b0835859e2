package dev.tessera.models.calibration;

/// Eigenvalues and eigenvectors of a symmetric matrix, in double precision: Householder's reduction
/// to tridiagonal form, then implicit QL steps (Golub and Van Loan, *Matrix Computations*, §8.3).
/// The same matrix gives the same bits everywhere: no fused operations, no library functions but
/// the square root.
///
/// @param values `[n]`, descending
/// @param vectors `[n][n]`; row i belongs to `values[i]`, has length 1, and its largest element
///   (the first of equals) is positive
record SymmetricEigen(double[] values, double[][] vectors) {

  private static final int MOST_STEPS = 60;

  /// @param matrix `[n][n]`; only its lower triangle is read
  static SymmetricEigen of(double[][] matrix) {
    int n = matrix.length;
    var work = new Reduction(matrix);
    work.reduce();
    work.iterate();
    Integer[] order = new Integer[n];
    java.util.Arrays.setAll(order, i -> i);
    java.util.Arrays.sort(
        order, java.util.Comparator.comparingDouble((Integer i) -> -work.diagonal[i]));
    var values = new double[n];
    var vectors = new double[n][];
    for (int i = 0; i < n; i++) {
      values[i] = work.diagonal[order[i]];
      vectors[i] = upright(work.rows[order[i]]);
    }
    return new SymmetricEigen(values, vectors);
  }

  /// The vector or its opposite.
  private static double[] upright(double[] vector) {
    int largest = 0;
    for (int i = 1; i < vector.length; i++) {
      if (Math.abs(vector[i]) > Math.abs(vector[largest])) {
        largest = i;
      }
    }
    if (vector[largest] < 0) {
      for (int i = 0; i < vector.length; i++) {
        vector[i] = -vector[i];
      }
    }
    return vector;
  }

  /// A matrix on its way to diagonal form, `rows · matrix · rowsᵀ`.
  private static final class Reduction {

    private final int n;
    private final double[][] a;
    private final double[][] rows; // the rotations so far: what becomes the eigenvectors
    private final double[] diagonal;
    private final double[] below; // below[i] links i and i + 1

    Reduction(double[][] matrix) {
      n = matrix.length;
      a = new double[n][n];
      rows = new double[n][n];
      for (int i = 0; i < n; i++) {
        rows[i][i] = 1;
        for (int j = 0; j <= i; j++) {
          a[i][j] = matrix[i][j];
          a[j][i] = matrix[i][j];
        }
      }
      diagonal = new double[n];
      below = new double[n];
    }

    /// Reflects column after column onto its first element below the diagonal.
    void reduce() {
      var v = new double[n];
      var p = new double[n];
      for (int k = 0; k + 2 < n; k++) {
        double norm = 0;
        for (int i = k + 1; i < n; i++) {
          norm += a[i][k] * a[i][k];
        }
        norm = Math.sqrt(norm);
        if (norm == 0) {
          continue;
        }
        double alpha = a[k + 1][k] > 0 ? -norm : norm;
        double length = 0;
        for (int i = k + 1; i < n; i++) {
          v[i] = i == k + 1 ? a[i][k] - alpha : a[i][k];
          length += v[i] * v[i];
        }
        double factor = 2 / length;
        double projection = 0;
        for (int i = k + 1; i < n; i++) {
          double sum = 0;
          for (int j = k + 1; j < n; j++) {
            sum += a[i][j] * v[j];
          }
          p[i] = factor * sum;
          projection += p[i] * v[i];
        }
        double half = factor / 2 * projection;
        for (int i = k + 1; i < n; i++) {
          p[i] -= half * v[i];
        }
        for (int i = k + 1; i < n; i++) {
          for (int j = k + 1; j < n; j++) {
            a[i][j] -= v[i] * p[j] + p[i] * v[j];
          }
        }
        a[k + 1][k] = alpha;
        a[k][k + 1] = alpha;
        for (int i = k + 2; i < n; i++) {
          a[i][k] = 0;
          a[k][i] = 0;
        }
        reflectRows(v, k + 1, factor);
      }
      for (int i = 0; i < n; i++) {
        diagonal[i] = a[i][i];
        below[i] = i + 1 < n ? a[i + 1][i] : 0;
      }
    }

    private void reflectRows(double[] v, int from, double factor) {
      var sums = new double[n];
      for (int i = from; i < n; i++) {
        for (int j = 0; j < n; j++) {
          sums[j] += v[i] * rows[i][j];
        }
      }
      for (int i = from; i < n; i++) {
        double scale = factor * v[i];
        for (int j = 0; j < n; j++) {
          rows[i][j] -= scale * sums[j];
        }
      }
    }

    /// Chases the elements below the diagonal away, smallest block first.
    void iterate() {
      for (int low = 0; low < n; low++) {
        int steps = 0;
        for (int high = end(low); high > low; high = end(low)) {
          if (++steps > MOST_STEPS) {
            throw new IllegalStateException(
                "the eigenvalues of a matrix of %d rows do not converge".formatted(n));
          }
          step(low, high);
        }
      }
    }

    /// The end of the block that begins at `low` and is linked throughout.
    private int end(int low) {
      int high = low;
      while (high + 1 < n
          && Math.abs(below[high])
              > Math.ulp(Math.abs(diagonal[high]) + Math.abs(diagonal[high + 1]))) {
        high++;
      }
      return high;
    }

    /// One implicit QL step with Wilkinson's shift on the block from `low` to `high`.
    private void step(int low, int high) {
      double g = (diagonal[low + 1] - diagonal[low]) / (2 * below[low]);
      double r = Math.sqrt(g * g + 1);
      g = diagonal[high] - diagonal[low] + below[low] / (g + (g < 0 ? -r : r));
      double s = 1;
      double c = 1;
      double p = 0;
      for (int i = high - 1; i >= low; i--) {
        double f = s * below[i];
        double b = c * below[i];
        r = Math.sqrt(f * f + g * g);
        below[i + 1] = r;
        if (r == 0) {
          diagonal[i + 1] -= p;
          below[high] = 0;
          return;
        }
        s = f / r;
        c = g / r;
        g = diagonal[i + 1] - p;
        r = (diagonal[i] - g) * s + 2 * c * b;
        p = s * r;
        diagonal[i + 1] = g + p;
        g = c * r - b;
        turn(rows[i], rows[i + 1], c, s);
      }
      diagonal[low] -= p;
      below[low] = g;
      below[high] = 0;
    }

    private static void turn(double[] lower, double[] upper, double c, double s) {
      for (int k = 0; k < lower.length; k++) {
        double f = upper[k];
        upper[k] = s * lower[k] + c * f;
        lower[k] = c * lower[k] - s * f;
      }
    }
  }
}
