package dev.tessera.kvcache;

import java.util.OptionalDouble;

/// What an operator asks of the cache's forms: a policy, or that one be found by measuring.
public sealed interface PolicySetting {

  /// This policy.
  record Fixed(KvPolicy policy) implements PolicySetting {}

  /// The policy that measurements on the model recommend within a budget; without one, within the
  /// default one.
  ///
  /// @param bits stored bits of a cooled element at most, on average
  /// @param divergence mean Kullback-Leibler divergence from exact tiles at most, in nats
  record Auto(OptionalDouble bits, OptionalDouble divergence) implements PolicySetting {}
}
