/* Attention over tiles: FlashAttention's running softmax (Dao, 2022) for a tile of queries, cut along
 * the context into splits whose partial results (m, d, o) are merged in the order of positions.
 *
 * m is the largest score, d the sum of 2^(score - m), o the sum of 2^(score - m) * value: scores are
 * in units of ln 2, by a factor on the queries, which saves the exponential one for each score. */
#ifndef TESSERA_ATTENTION_H
#define TESSERA_ATTENTION_H

#include "decoder.h"

/* Computes one item of the layer's group for one KV head; whoever completes the last part of its
 * rows merges and, when `reader` is not null, quantises them for it. */
void TS(attend_item)(ts_decoder *d, const ts_layer *layer, const ts_item *item, int64_t kv_head,
                     const ts_matrix *reader, ts_scratch *scratch);

#endif
