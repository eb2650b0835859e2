package dev.tessera.kvcache;

import java.util.Collection;
import java.util.List;

/// When the blocks of sequences take cooler forms, and what a sequence holds of them.
interface Cooler {

  /// Whether there is to be one more block in every group now. If not, a step of coolings will make
  /// room.
  ///
  /// @param wanted blocks that a sequence would still like to have
  boolean mayAppend(Collection<SequenceCache> live, int wanted);

  /// Makes what queries in block `queryBlock`, which was just appended, read for the first time.
  ///
  /// @param held takes what the table came to hold for it, also where the answer is false
  /// @return whether there was room
  boolean append(BlockTable table, int queryBlock, List<Holds.Hold> held);

  /// Gives blocks their forms before a step that begins now.
  void beforeStep(Collection<SequenceCache> live);

  /// Says that the step has been computed.
  void afterStep();

  /// Says that a sequence has begun or ended.
  void sequencesChanged();

  /// Lets go of what queries behind the computed tokens of a sequence do not read.
  void settle(SequenceCache sequence);

  /// Whether what [#beforeStep] does now will make room.
  boolean makesRoom(Collection<SequenceCache> live);

  /// Bytes that live sequences hold beyond what they would at their coolest.
  long reclaimableBytes(Collection<SequenceCache> live);

  /// Bytes that are to stay available when a sequence is opened.
  long spareBytes();
}
