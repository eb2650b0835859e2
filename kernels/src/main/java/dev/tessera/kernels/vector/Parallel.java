package dev.tessera.kernels.vector;

import dev.tessera.kernels.cpu.WorkerTeam;
import java.util.concurrent.atomic.AtomicInteger;

/// Hands out units of work to a team of threads. Whichever thread takes a unit, its result is the
/// same.
final class Parallel implements AutoCloseable {

  /// What is done with one unit.
  interface Work {
    /// @param worker from 0; names the scratch memory to use
    void run(int worker, int unit);
  }

  private final WorkerTeam team;

  Parallel(int threads) {
    team = new WorkerTeam(threads);
  }

  int threads() {
    return team.threads();
  }

  /// Runs every unit and returns when all are done. A single one is not worth waking anybody.
  void forEach(int units, Work work) {
    if (units <= 1 || team.threads() == 1) {
      for (int unit = 0; unit < units; unit++) {
        work.run(0, unit);
      }
      return;
    }
    var next = new AtomicInteger();
    team.run(
        worker -> {
          for (int unit = next.getAndIncrement(); unit < units; unit = next.getAndIncrement()) {
            work.run(worker, unit);
          }
        });
  }

  @Override
  public void close() {
    team.close();
  }
}
